/**
 * The transcripts against the pure session, in every manner that must make no difference: whole segments, single bytes,
 * each segment cut at each of its offsets where the transcript is short, and all segments cut at random places. Inside
 * TLS and over real sockets they run in test/worker.
 */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { mechanisms, type SessionOptions } from '../../src/protocol/types.js';
import { Random } from '../support/random.js';
import { readTranscripts, type Step, type Transcript } from '../support/transcript.js';
import { describeManner, limits, manners, options, Peer, type Manner } from './harness.js';

// Each split is a run of the whole transcript: some ten thousand altogether.
const maxBytesForEverySplit = 600;
const randomRuns = 5;

/** Where the n-th segment is cut. */
type Cut = (segment: number, length: number) => readonly number[];
const uncut: Cut = () => [];

const transcripts = readTranscripts(join(import.meta.dirname, '../transcripts'));

describe.each(transcripts.map((transcript) => [transcript.name, transcript] as const))(
  '%s',
  (_, transcript) => {
    const fitting = manners.filter(({ chunkBytes }) => chunkBytes === 0 || !transcript.wholeOnly);
    test.each(fitting.map((manner) => [describeManner(manner), manner] as const))(
      `${transcript.rule} [%s]`,
      (_, manner) => {
        run(transcript, manner, uncut);
      },
    );
    if (transcript.wholeOnly) return;
    test(`${transcript.rule} [cut in two at each offset, cut at random]`, () => {
      for (const cut of [...everySplit(transcript), ...randomCuts()])
        run(transcript, { answers: 'later', chunkBytes: 0 }, cut);
    });
  },
);

function everySplit({ steps }: Transcript): Cut[] {
  const lengths = steps.flatMap((step) => (step.kind === 'send' ? [step.bytes.length] : []));
  if (lengths.reduce((sum, length) => sum + length, 0) > maxBytesForEverySplit) return [];
  return lengths.flatMap((length, cutSegment) =>
    Array.from(
      { length: length - 1 },
      (_, offset): Cut =>
        (segment) =>
          segment === cutSegment ? [offset + 1] : [],
    ),
  );
}

/** The same in each run. */
function randomCuts(): Cut[] {
  return Array.from({ length: randomRuns }, (_, n): Cut => {
    const random = new Random(2 * n);
    return (_, length) => places(random, length);
  });
}

/** Up to eight places, in order. */
function places(random: Random, length: number): number[] {
  const some = Array.from({ length: random.between(0, 8) }, () => random.between(0, length));
  return some.toSorted((a, b) => a - b);
}

function run(transcript: Transcript, manner: Manner, cut: Cut): void {
  let segments = 0;
  const peer = new Peer(optionsOf(transcript.settings, false), manner).start();
  for (const step of transcript.steps) {
    const where = `${transcript.name}.smtp:${step.line}`;
    if (step.kind === 'tls') peer.handshake(optionsOf(transcript.settings, true));
    else if (step.kind === 'send') {
      const cuts = cut(segments++, step.bytes.length);
      [0, ...cuts].forEach((from, piece) => peer.send(step.bytes.subarray(from, cuts[piece])));
    } else take(peer, step, where);
  }
  expect(peer.codes(), `${transcript.name}.smtp: replies that were not expected`).toEqual([]);
  expect(peer.queued, `${transcript.name}.smtp: messages that were not expected`).toEqual([]);
  const closes = transcript.steps.some(({ kind }) => kind === 'close');
  expect(peer.closed !== undefined, `${transcript.name}.smtp: closed at its end`).toBe(closes);
}

function take(peer: Peer, step: Exclude<Step, { kind: 'tls' | 'send' }>, where: string): void {
  switch (step.kind) {
    case 'expect':
      expectReply(peer, step, where);
      return;
    case 'queued': {
      const message = peer.queued.shift();
      expect(message && { ...message, body: message.body.toString('latin1') }, where).toEqual({
        from: step.from,
        to: step.to,
        body: step.body.toString('latin1'),
      });
      return;
    }
    case 'close':
      expect(peer.closed, where).toBe(step.reason ?? peer.closed);
      expect(peer.closed, where).toBeDefined();
  }
}

function expectReply(peer: Peer, step: Extract<Step, { kind: 'expect' }>, where: string): void {
  const text = peer.replies.shift()?.reply.bytes.toString('latin1') ?? '(no reply)';
  const lines = text.split('\r\n').slice(0, -1);
  const last = lines.at(-1) ?? '';
  expect(last.startsWith(step.prefix) ? step.prefix : text, where).toBe(step.prefix);
  const behindCode = lines.map((line) => line.slice(4));
  for (const line of step.has) expect(behindCode, where).toContain(line);
  for (const line of step.lacks) expect(behindCode, where).not.toContain(line);
}

/** @param inside after STARTTLS */
function optionsOf(settings: ReadonlyMap<string, string>, inside: boolean): SessionOptions {
  const tls = settings.get('tls') ?? 'off';
  const secure = inside || tls === 'inside';
  const role = settings.get('role') === 'submission' ? 'submission' : 'inbound';
  const limitSettings = Object.keys(limits).filter((key) => settings.has(key));
  return {
    ...options,
    role,
    protocol: settings.get('protocol') === 'lmtp' ? 'lmtp' : 'smtp',
    secure,
    startTls: !secure && (tls === 'starttls' || tls === 'required'),
    tlsRequired: !secure && tls === 'required',
    authRequired: role === 'submission',
    certificateMissing: settings.has('certificate-missing'),
    mechanisms: (settings.get('auth') ?? '')
      .split(' ')
      .flatMap((name) => mechanisms.find((known) => known === name) ?? []),
    mayNameClients: settings.has('xclient'),
    refuseUnauthorizedPipelining: settings.get('pipelining') === 'refuse',
    limits: {
      ...limits,
      ...Object.fromEntries(limitSettings.map((key) => [key, Number(settings.get(key))])),
    },
  };
}
