/**
 * What is measured, as data. In all cases but `r` every server keeps what it accepts, or drops it where it stores nothing.
 *
 * @typedef {{ kind: 'source', sessions: number, sizeBytes: number, kept: boolean, dots?: boolean }} SourceLoad Postfix's smtp-source
 * @typedef {{ kind: 'own', options: Partial<import('../load/options.mjs').LoadOptions> }} OwnLoad bench/load
 * @typedef {{ kind: 'open', ofCapacity: number, sessions: number }} OpenLoad open loop at this part of what the server took in case b
 * @typedef {{ kind: 'connects', sessions: number }} ConnectLoad connect, greeting, QUIT
 * @typedef {{ kind: 'handshakes', sessions: number, resumed: boolean }} HandshakeLoad the same inside TLS 1.3
 * @typedef {{ kind: 'idle', connections: number, tls: boolean }} IdleLoad
 * @typedef {{ kind: 'relay', sessions: number, sizeBytes: number }} RelayLoad smtp-source, through the server, to smtp-sink
 * @typedef {SourceLoad | OwnLoad | OpenLoad | ConnectLoad | HandshakeLoad | IdleLoad | RelayLoad} Load
 *
 * @typedef {'mail' | 'relay' | 'tls' | 'crowd'} Ability mail: in plain text; crowd: ten thousand connections at a time
 *
 * @typedef {object} Case
 * @property {string} id
 * @property {string} title
 * @property {Load} load
 */

const KiB = 1024;
const kept = { perConnection: Infinity, sizeBytes: 4 * KiB };

/** @type {readonly Case[]} */
export const cases = [
  {
    id: 'a',
    title: '4 KiB, 50 sessions, a connection per message',
    load: { kind: 'source', sessions: 50, sizeBytes: 4 * KiB, kept: false },
  },
  {
    id: 'b',
    title: '4 KiB, 50 sessions, connections kept',
    load: { kind: 'source', sessions: 50, sizeBytes: 4 * KiB, kept: true },
  },
  {
    id: 'b-own',
    title: 'the same by our generator',
    load: { kind: 'own', options: { ...kept, sessions: 50, pipelining: false } },
  },
  {
    id: 'c',
    title: '1 MiB, 10 sessions',
    load: { kind: 'source', sessions: 10, sizeBytes: 1024 * KiB, kept: true },
  },
  {
    id: 'p',
    title: '4 KiB, 50 sessions, pipelined',
    load: { kind: 'own', options: { ...kept, sessions: 50, pipelining: true } },
  },
  {
    id: 'k',
    title: '4 KiB, 8 connections',
    load: { kind: 'own', options: { ...kept, sessions: 8, processes: 1, pipelining: false } },
  },
  { id: 'q', title: 'connect, QUIT', load: { kind: 'connects', sessions: 50 } },
  {
    id: 'd',
    title: '64 KiB, each line begins with a dot',
    load: { kind: 'source', sessions: 50, sizeBytes: 64 * KiB, kept: true, dots: true },
  },
  {
    id: 't',
    title: '4 KiB in TLS 1.3, connections kept',
    load: { kind: 'own', options: { ...kept, sessions: 50, pipelining: false, tls: 'implicit' } },
  },
  { id: 't-full', title: 'TLS 1.3, a full handshake each', load: { kind: 'handshakes', sessions: 20, resumed: false } }, // prettier-ignore
  { id: 't-resumed', title: 'TLS 1.3, a resumed handshake each', load: { kind: 'handshakes', sessions: 20, resumed: true } }, // prettier-ignore
  {
    id: 'r',
    title: '4 KiB, 50 sessions, accepted and relayed',
    load: { kind: 'relay', sessions: 50, sizeBytes: 4 * KiB },
  },
  { id: 'i', title: '10 000 idle connections', load: { kind: 'idle', connections: 10_000, tls: false } },
  {
    id: 'i-tls',
    title: '2 000 idle connections in TLS',
    load: { kind: 'idle', connections: 2_000, tls: true },
  },
  {
    id: 'o-50',
    title: 'open loop at 50 % of capacity',
    load: { kind: 'open', ofCapacity: 0.5, sessions: 200 },
  },
  {
    id: 'o-80',
    title: 'open loop at 80 % of capacity',
    load: { kind: 'open', ofCapacity: 0.8, sessions: 200 },
  },
];

/** What a server has to be able to. @param {Load} load @returns {readonly Ability[]} */
export function needs(load) {
  switch (load.kind) {
    case 'handshakes':
      return ['tls'];
    case 'idle':
      return ['crowd', load.tls ? 'tls' : 'mail'];
    case 'relay':
      return ['relay'];
    case 'own':
      return [load.options.tls === undefined ? 'mail' : 'tls'];
    case 'connects':
    case 'open':
    case 'source':
      return ['mail'];
  }
}
