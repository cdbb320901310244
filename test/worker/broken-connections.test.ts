/** Connections that break, or drip, at any place of a session, over real sockets to a Worker in this process. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { until } from '../support/processes.js';
import { SmtpClient } from '../support/smtp-client.js';
import { startWorker, type TestWorker } from './harness.js';

const envelope = ['EHLO t\r\n', 'MAIL FROM:<a@x.test>\r\n', 'RCPT TO:<b@ok.test>\r\n'];
/** place, listener, what was said and answered before, what is said last and not answered */
const places: readonly (readonly [string, 'mx' | 'smtps', readonly string[], string])[] = [
  ['before the greeting is read', 'mx', [], ''],
  ['inside a command', 'mx', ['EHLO t\r\n'], 'MAIL FR'],
  ['with a thousand replies on their way', 'mx', ['EHLO t\r\n'], 'NOOP\r\n'.repeat(1000)],
  ['in a transaction', 'mx', envelope, ''],
  ['inside a message', 'mx', [...envelope, 'DATA\r\n'], 'Subject: half\r\n\r\nx'],
  [
    'inside a large message',
    'mx',
    [...envelope, 'DATA\r\n'],
    `Subject: half\r\n\r\n${'x\r\n'.repeat(400_000)}`,
  ],
  ['inside the end of a message', 'mx', [...envelope, 'DATA\r\n'], 'Subject: half\r\n\r\nx\r\n.\r'],
  ['inside a chunk', 'mx', envelope, 'BDAT 1000 LAST\r\nSubject: half'],
  ['between two chunks', 'mx', [...envelope, 'BDAT 6\r\nx: y\r\n'], ''],
  ['between STARTTLS and its handshake', 'mx', ['EHLO t\r\n'], 'STARTTLS\r\n'],
  ['inside a message in TLS', 'smtps', [...envelope, 'DATA\r\n'], 'Subject: half\r\n\r\nx'],
  ['inside a chunk in TLS', 'smtps', envelope, 'BDAT 1000 LAST\r\nSubject: half'],
];

let running: TestWorker;
const sockets: Socket[] = [];
const timers: NodeJS.Timeout[] = [];

beforeEach(async () => {
  running = await startWorker({
    listeners: [
      { name: 'mx', tls: 'starttls' },
      { name: 'smtps', tls: 'implicit' },
    ],
    limits: { junkCommands: 10_000, dataTimeout: '1s', dataRateAfter: '1s', dataBytesPerSecond: 1000 },
  });
});

afterEach(async () => {
  for (const timer of timers.splice(0)) clearInterval(timer);
  for (const socket of sockets.splice(0)) socket.destroy();
  await running.close();
});

async function open(listener: 'mx' | 'smtps'): Promise<{ raw: Socket; client: SmtpClient }> {
  const raw = connect(running.ports[listener] ?? 0, '127.0.0.1');
  raw.on('error', () => undefined);
  sockets.push(raw);
  await once(raw, 'connect');
  if (listener === 'mx') return { raw, client: SmtpClient.over(raw) };
  const secure = connectTls({ socket: raw, rejectUnauthorized: false });
  secure.on('error', () => undefined);
  await once(secure, 'secureConnect');
  return { raw, client: SmtpClient.over(secure) };
}

async function storedMessages(): Promise<unknown> {
  const answer = await running.worker.call({ method: 'list', filter: {}, offset: 0, limit: 10 });
  return answer.ok ? answer.value : answer;
}

test.each(['end', 'resetAndDestroy'] as const)(
  'A-150 A-052 A-073 A-027 C-025: a connection that breaks off by %s anywhere leaves no connection, no message and no byte in flight',
  async (farewell) => {
    for (const [place, listener, said, last] of places) {
      const { raw, client } = await open(listener);
      if (said.length > 0) await client.reply();
      for (const line of said) {
        client.write(line);
        expect(await client.reply(), place).toMatch(/^[23]/);
      }
      client.write(last);
      if (last.length > 0 && last.length < 10_000) await new Promise((resolve) => setTimeout(resolve, 5));
      raw[farewell]();
      await until(`the connection that broke ${place} is gone`, () => running.worker.connections === 0);
    }
    expect(await storedMessages()).toMatchObject({ messages: [] });
    expect(running.worker.snapshot()['postern_queue_bytes_in_flight']).toMatchObject([{ value: 0 }]);
    const { client } = await open('mx');
    await client.reply();
    await client.command('EHLO t');
    expect(await client.send('Subject: whole\r\n\r\nx', { to: 'b@ok.test' })).toMatch(/^250 2\.0\.0 /);
    expect(await storedMessages()).toMatchObject({ messages: { length: 1 } });
  },
);

describe('A-073 A-051: content that drips is cut with 421, and nothing of it is queued', () => {
  test.each([
    ['a chunk', 'BDAT 1000000 LAST\r\nSubject: x\r\n\r\n'],
    ['a chunk larger than a message may be', 'BDAT 999999999999999 LAST\r\nSubject: x\r\n\r\n'],
    ['a message', 'DATA\r\n'],
  ])('%s', { timeout: 15_000 }, async (_, begin) => {
    const { client } = await open('mx');
    await client.reply();
    for (const line of envelope) await client.command(line.trimEnd());
    client.write(begin);
    if (begin.startsWith('DATA')) expect(await client.reply()).toMatch(/^354 /);
    timers.push(setInterval(() => client.write('x'), 50));
    const last = await client.reply();
    expect(last).toMatch(/^421 4\.4\.2 /);
    await client.ended();
    expect(await storedMessages()).toMatchObject({ messages: [] });
  });
});
