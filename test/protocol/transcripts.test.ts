/** The transcripts against the pure session, in every manner that must make no difference. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Mechanism, SessionOptions } from '../../src/protocol/types.js';
import { readTranscripts, type Step, type Transcript } from '../support/transcript.js';
import { describeManner, limits, manners, options, Peer, type Manner } from './harness.js';

const transcripts = readTranscripts(join(import.meta.dirname, '../transcripts'));

describe.each(transcripts.map((transcript) => [transcript.name, transcript] as const))(
  '%s',
  (_, transcript) => {
    const fitting = manners.filter(({ chunkBytes }) => chunkBytes === 0 || !transcript.wholeOnly);
    test.each(fitting.map((manner) => [describeManner(manner), manner] as const))(
      `${transcript.rule} [%s]`,
      (_, manner) => {
        run(transcript, manner);
      },
    );
  },
);

function run(transcript: Transcript, manner: Manner): void {
  const peer = new Peer(optionsOf(transcript.settings, false), manner).start();
  for (const step of transcript.steps) {
    const where = `${transcript.name}.smtp:${step.line}`;
    if (step.kind === 'tls') peer.handshake(optionsOf(transcript.settings, true));
    else take(peer, step, where);
  }
  expect(peer.codes(), `${transcript.name}.smtp: replies that were not expected`).toEqual([]);
  expect(peer.queued, `${transcript.name}.smtp: messages that were not expected`).toEqual([]);
  const closes = transcript.steps.some(({ kind }) => kind === 'close');
  expect(peer.closed !== undefined, `${transcript.name}.smtp: closed at its end`).toBe(closes);
}

function take(peer: Peer, step: Exclude<Step, { kind: 'tls' }>, where: string): void {
  switch (step.kind) {
    case 'send':
      peer.send(step.bytes);
      return;
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
    secure,
    startTls: !secure && (tls === 'starttls' || tls === 'required'),
    tlsRequired: !secure && tls === 'required',
    authRequired: role === 'submission',
    mechanisms: (settings.get('auth') ?? '')
      .split(' ')
      .filter((name): name is Mechanism => name === 'PLAIN' || name === 'LOGIN'),
    limits: {
      ...limits,
      ...Object.fromEntries(limitSettings.map((key) => [key, Number(settings.get(key))])),
    },
  };
}
