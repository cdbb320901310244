/**
 * The transcripts over real sockets, in plaintext and inside TLS, against a Worker in this process: what the pure
 * session says must arrive.
 */
import { once } from 'node:events';
import { join } from 'node:path';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { SmtpClient } from '../support/smtp-client.js';
import { readTranscripts, type Step, type Transcript } from '../support/transcript.js';
import { startWorker, type TestListener, type TestWorker } from './harness.js';

const limitNames = [
  'messageBytes',
  'recipients',
  'errors',
  'junkCommands',
  'commandLineBytes',
  'headerBytes',
  'headerFields',
  'transactions',
  'receivedHops',
  'ownReceivedHops',
  'dataLineBytes',
  'authFailures',
];

const listeners: readonly TestListener[] = [
  { name: 'off' },
  { name: 'starttls', tls: 'starttls' },
  { name: 'required', tls: 'required' },
  { name: 'lmtp', protocol: 'lmtp' },
  { name: 'inside', tls: 'implicit' },
  // A worker offers AUTH on submission listeners alone.
  { name: 'submission', tls: 'required', role: 'submission' },
  { name: 'submission-inside', tls: 'implicit', role: 'submission' },
  { name: 'off-trusted', xclient: ['127.0.0.0/8'] },
  { name: 'inside-trusted', tls: 'implicit', xclient: ['127.0.0.0/8'] },
  { name: 'submission-inside-trusted', tls: 'implicit', role: 'submission', xclient: ['127.0.0.0/8'] },
];

/** AUTH beside mail without it: a worker offers AUTH on submission listeners alone, and there MAIL needs it. */
const pureOnly = new Set([
  'auth-errors',
  'auth-parameter',
  'auth-plaintext',
  'certificate-missing', // with real certificates in tls.test.ts
  // Tokens need somebody who issues them: test/e2e/sasl.test.ts.
  'auth-tokens',
  'greeting-and-hello',
  'starttls',
  'tls-required',
]);

/** Says something else inside TLS. */
const plaintextOnly = new Set(['starttls-not-offered']);

/** What a config calls them; PLAIN and LOGIN go together. */
function mechanismsOf({ settings }: Transcript): readonly string[] {
  const names = (settings.get('auth') ?? 'PLAIN').split(' ').filter((name) => !name.endsWith('-PLUS'));
  return names.every((name) => name === 'PLAIN' || name === 'LOGIN') ? ['PLAIN', 'LOGIN'] : names;
}

interface Group {
  readonly limits: Record<string, number>;
  readonly mechanisms: readonly string[];
  readonly pipelining: 'refuse' | 'tolerate';
  readonly transcripts: Transcript[];
}

/** One worker for all transcripts with the same limits, mechanisms and policy. */
const groups = new Map<string, Group>();
for (const transcript of readTranscripts(join(import.meta.dirname, '../transcripts'))) {
  const { name, settings } = transcript;
  if (pureOnly.has(name)) continue;
  const own = limitNames.filter((limit) => settings.has(limit));
  const limits = Object.fromEntries(own.map((limit) => [limit, Number(settings.get(limit))]));
  const mechanisms = mechanismsOf(transcript);
  const pipelining = settings.get('pipelining') === 'refuse' ? 'refuse' : 'tolerate';
  const named = own.length === 0 ? 'the default limits' : JSON.stringify(limits);
  const rules = pipelining === 'refuse' ? ', unauthorized pipelining refused' : '';
  const key = `${named} and ${mechanisms.join(' ')}${rules}`;
  const group = groups.get(key) ?? { limits, mechanisms, pipelining, transcripts: [] };
  groups.set(key, group);
  group.transcripts.push(transcript);
}

describe.each([...groups])('with %s', (_, { limits, mechanisms, pipelining, transcripts }) => {
  let running: TestWorker;

  beforeAll(async () => {
    running = await startWorker({
      listeners,
      users: { u: 'p' },
      exactLimits: limits,
      mechanisms,
      unauthorizedPipelining: pipelining,
    });
  });

  afterAll(async () => {
    await running.close();
  });

  const runs = transcripts.flatMap((transcript) =>
    listenersFor(transcript).map((listener) => [transcript.name, listener, transcript] as const),
  );
  test.each(runs)('%s, listener %s', async (_name, listener, transcript) => {
    const queuedBefore = new Set((await rowsOf(running)).map(({ id }) => id));
    const client = await connect(running, listener);
    for (const step of transcript.steps) await take(client, step, `${transcript.name}.smtp:${step.line}`);
    const closes = transcript.steps.some(({ kind }) => kind === 'close');
    // The next reply shows that nothing came unasked between.
    if (!closes) expect(await client.command('QUIT'), transcript.name).toMatch(/^(221|5\d\d) /);
    expect(client.rest(), `${transcript.name}: replies that were not expected`).toBe('');
    client.destroy();
    const queued = (await rowsOf(running)).filter(({ id }) => !queuedBefore.has(id));
    expect(queued.map(({ from, to }) => ({ from, to }))).toEqual(expectedOf(transcript));
  });
});

function listenersFor(transcript: Transcript): string[] {
  const names = plainListenersFor(transcript);
  return transcript.settings.has('xclient') ? names.map((name) => `${name}-trusted`) : names;
}

/** What says nothing of TLS or AUTH is true of both. */
function plainListenersFor({ name, settings }: Transcript): string[] {
  if (settings.get('protocol') === 'lmtp') return ['lmtp'];
  const tls = settings.get('tls') ?? 'off';
  if (settings.has('auth') || settings.get('role') === 'submission')
    return [tls === 'inside' ? 'submission-inside' : 'submission'];
  return settings.has('tls') || plaintextOnly.has(name) ? [tls] : [tls, 'inside'];
}

async function connect(running: TestWorker, listener: string): Promise<SmtpClient> {
  const port = running.ports[listener] ?? 0;
  if (!listener.includes('inside')) return SmtpClient.connect(port);
  const socket: TLSSocket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  return SmtpClient.over(socket);
}

async function take(client: SmtpClient, step: Step, where: string): Promise<void> {
  switch (step.kind) {
    case 'send':
      client.write(step.bytes);
      return;
    case 'expect': {
      const lines = (await client.reply()).split('\n');
      const last = lines.at(-1) ?? '';
      // The transcripts' queue id is ID.
      const prefix = step.prefix.replace(/ ID$/, ' ');
      expect(last.startsWith(prefix) ? prefix : lines.join('\n'), where).toBe(prefix);
      const behindCode = lines.map((line) => line.slice(4));
      for (const line of step.has) expect(behindCode, where).toContain(line);
      for (const line of step.lacks) expect(behindCode, where).not.toContain(line);
      return;
    }
    case 'tls':
      await client.handshake();
      return;
    case 'close':
      await client.ended();
      return;
    case 'queued':
      // Looked for in the queue at the end; the bodies are the pure runs' to compare.
      return;
  }
}

async function rowsOf(running: TestWorker): Promise<{ id: string; from: string; to: string[] }[]> {
  const answer = await running.worker.call({ method: 'list', filter: {}, offset: 0, limit: 10_000 });
  if (
    !answer.ok ||
    answer.value === null ||
    !('messages' in answer.value) ||
    !Array.isArray(answer.value.messages)
  )
    throw new Error('no list');
  return answer.value.messages.map(({ id, from, recipients }) => ({
    id,
    from,
    to: recipients.map(({ address }) => address),
  }));
}

function expectedOf(transcript: Transcript): { from: string; to: readonly string[] }[] {
  return transcript.steps
    .filter((step) => step.kind === 'queued')
    .map(({ from, to }) => ({
      from,
      // RFC 5321 §4.5.1: Postmaster without a domain gets ours.
      to: to.map((address) => (address.includes('@') ? address : 'postmaster@ok.test')),
    }));
}
