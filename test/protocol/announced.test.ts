/** What EHLO and LHLO list, to the last keyword, in each place that a client can come to; and that each of it works there. */
import { describe, expect, test } from 'vitest';

import { verbs, type SessionOptions } from '../../src/protocol/types.js';
import { limits, options, Peer } from './harness.js';

const everywhere = [
  'PIPELINING',
  'SIZE 26214400',
  '8BITMIME',
  'CHUNKING',
  'SMTPUTF8',
  'ENHANCEDSTATUSCODES',
  'DSN',
  'LIMITS RCPTMAX=1000',
];
const xclient = [
  'XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT REVERSE_NAME',
  'XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE',
];
const auth = { mechanisms: ['SCRAM-SHA-256', 'PLAIN'] } as const;

/** where, the options, what is listed beside what is listed everywhere and HELP, which is last */
const places: readonly (readonly [string, Partial<SessionOptions>, readonly string[]])[] = [
  ['in plaintext', {}, []],
  ['in plaintext, with AUTH for those in TLS', { ...auth }, []],
  ['in plaintext before STARTTLS', { startTls: true }, ['STARTTLS']],
  ['in plaintext before STARTTLS and AUTH', { startTls: true, ...auth }, ['STARTTLS']],
  ['where TLS is required', { startTls: true, tlsRequired: true, ...auth }, ['STARTTLS']],
  ['in TLS', { secure: true }, []],
  ['in TLS that STARTTLS was the way to', { secure: true, startTls: true }, []],
  ['in TLS, with AUTH', { secure: true, ...auth }, ['AUTH SCRAM-SHA-256 PLAIN']],
  ['in plaintext, trusted to name clients', { mayNameClients: true }, xclient],
  [
    'before STARTTLS, trusted to name clients',
    { startTls: true, mayNameClients: true, ...auth },
    ['STARTTLS', ...xclient],
  ],
  [
    'in TLS, with AUTH, trusted to name clients',
    { secure: true, mayNameClients: true, ...auth },
    ['AUTH SCRAM-SHA-256 PLAIN', ...xclient],
  ],
];

function peerAt(place: Partial<SessionOptions>): Peer {
  return new Peer({ ...options, ...place }).start();
}

function linesOf(peer: Peer): string[] {
  const [last] = peer.replies.splice(0).slice(-1);
  return (last?.reply.bytes.toString('latin1') ?? '').trimEnd().split('\r\n');
}

describe.each(['smtp', 'lmtp'] as const)('%s', (protocol) => {
  const hello = protocol === 'lmtp' ? 'LHLO' : 'EHLO';

  test.each(places)('C-003 C-004 C-012: %s, exactly these keywords', (_, place, own) => {
    const lines = linesOf(peerAt({ ...place, protocol }).send(`${hello} t\r\n`));
    expect(lines.map((line) => line.slice(0, 4))).toEqual([...lines.slice(1).map(() => '250-'), '250 ']);
    expect(lines.map((line) => line.slice(4))).toEqual(['mx.test', ...everywhere, ...own, 'HELP']);
  });

  test.each(places)('C-012: %s, what is listed is there, and what is not listed is not', (_, place, own) => {
    const words = own.map((line) => line.split(' ')[0]);
    for (const verb of ['STARTTLS', 'AUTH', 'XCLIENT', 'XFORWARD'] as const) {
      const argument = { STARTTLS: '', AUTH: ' PLAIN =', XCLIENT: ' NAME=x', XFORWARD: ' NAME=x' }[verb];
      const peer = peerAt({ ...place, protocol, tlsRequired: false }).send(`${hello} t\r\n`);
      peer.codes();
      const [code = ''] = peer.send(`${verb}${argument}\r\n`).codes();
      if (words.includes(verb)) expect(code, verb).toMatch(verb === 'AUTH' ? /^535/ : /^2/);
      else expect(code, verb).toMatch(/^(?:50[23]|538|550) /);
    }
    const peer = peerAt({ ...place, protocol, tlsRequired: false }).send(`${hello} t\r\nHELP\r\n`);
    peer.send('MAIL FROM:<a@x.test> SIZE=10 BODY=8BITMIME SMTPUTF8 RET=HDRS\r\n');
    peer.send('RCPT TO:<b@ok.test> NOTIFY=NEVER\r\nBDAT 6 LAST\r\nx: y\r\n');
    expect(peer.codes().slice(2)).toEqual(['214 2.0.0', '250 2.1.0', '250 2.1.5', '250 2.0.0']);
  });
});

test('C-012: no verb that we have is ever unknown', () => {
  for (const verb of verbs.filter((name) => name !== 'LHLO')) {
    const peer = peerAt({ secure: true, mayNameClients: true, ...auth }).send('EHLO t\r\n');
    peer.codes();
    const [code] = peer.send(`${verb}\r\n`).codes();
    expect(code, verb).not.toBe('500 5.5.2');
  }
});

describe('C-129: RCPTMAX is as many as one transaction takes, and no fewer', () => {
  test.each([100, 1000])('%d', (recipients) => {
    const peer = peerAt({ limits: { ...limits, recipients } }).send('EHLO t\r\n');
    expect(linesOf(peer)).toContain(`250-LIMITS RCPTMAX=${recipients}`);
    peer.send('MAIL FROM:<a@x.test>\r\n');
    peer.codes();
    for (let n = 0; n <= recipients; n++) peer.send(`RCPT TO:<b${n}@ok.test>\r\n`);
    const codes = peer.codes();
    expect(codes.slice(0, -1).filter((code) => code !== '250 2.1.5')).toEqual([]);
    expect(codes).toHaveLength(recipients + 1);
    expect(codes.at(-1)).toBe('452 4.5.3');
  });
});

test('C-039: a message for a hundred recipients is taken for each of them', () => {
  const peer = peerAt({ limits: { ...limits, recipients: 100 } });
  const addresses = Array.from({ length: 100 }, (_, n) => `b${n}@ok.test`);
  peer.send('EHLO t\r\nMAIL FROM:<a@x.test>\r\n');
  peer.send(addresses.map((address) => `RCPT TO:<${address}>\r\n`).join(''));
  peer.send('DATA\r\n').send('Subject: t\r\n.\r\n');
  expect(peer.queued.map(({ to }) => to)).toEqual([addresses]);
});
