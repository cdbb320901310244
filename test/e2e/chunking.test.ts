/** BDAT from the client's socket through the queue to a hop that knows only DATA. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startPostern, type RunningPostern } from '../support/postern.js';
import { until } from '../support/processes.js';
import { RecordingSink } from '../support/recording-sink.js';
import { queueIdOf, sha256, SmtpClient } from '../support/smtp-client.js';

let postern: RunningPostern;
let sink: RecordingSink;

beforeAll(async () => {
  sink = await RecordingSink.open();
  postern = await startPostern({
    config: {
      workers: 1,
      policy: { bareNewlines: { normalizeFrom: ['127.0.0.2/32'] } },
      routes: { sink: { to: `smtp://127.0.0.1:${sink.port}`, tls: 'off' } },
      domains: [{ names: ['example.test'], route: 'sink' }],
    },
  });
});

afterAll(async () => {
  await postern.dispose();
  await sink.close();
});

async function envelope(client: SmtpClient): Promise<void> {
  expect(await client.command('MAIL FROM:<a@client.test>')).toMatch(/^250/);
  expect(await client.command('RCPT TO:<b@example.test>')).toMatch(/^250/);
}

async function arrived(id: string): Promise<string | undefined> {
  await until('the message is relayed', async () => sink.byId().has(id));
  const [only, ...others] = sink.byId().get(id) ?? [];
  expect(others).toEqual([]);
  return only?.sha256;
}

test('A-009: what would be an end of data and commands in DATA arrives as one message, stuffed, with the CRLF that DATA needs', async () => {
  const client = await SmtpClient.greeted(postern.smtpPort);
  const text = 'X-Test-Id: one\r\n\r\nbody\r\n.\r\nMAIL FROM:<evil@client.test>\r\n..\r\nno line end';
  await envelope(client);
  client.write(`BDAT 20\r\n${text.slice(0, 20)}BDAT ${text.length - 20} LAST\r\n${text.slice(20)}`);
  expect(await client.reply()).toMatch(/^250 2\.0\.0 Chunk/);
  queueIdOf(await client.reply());
  expect(await arrived('one')).toBe(sha256(Buffer.from(`${text}\r\n`)));
  expect(sink.delivered).toHaveLength(1);
  expect(await client.command('QUIT')).toMatch(/^221/);
});

test('C-094: a message of many chunks at chunk sizes that nothing is aligned to', async () => {
  const client = await SmtpClient.greeted(postern.smtpPort);
  const body = Buffer.from(`X-Test-Id: many\r\n\r\n${`${'.x'.repeat(38)}\r\n`.repeat(20_000)}`);
  await envelope(client);
  let chunks = 0;
  for (let at = 0; at < body.length; at += 77_777) {
    const chunk = body.subarray(at, at + 77_777);
    client.write(`BDAT ${chunk.length}\r\n`);
    client.write(chunk);
    chunks++;
  }
  client.write('BDAT 0 LAST\r\n');
  for (; chunks > 0; chunks--) expect(await client.reply()).toMatch(/^250 2\.0\.0 Chunk/);
  queueIdOf(await client.reply());
  expect(await arrived('many')).toBe(sha256(body));
  client.destroy();
});

test('A-073 A-074: a connection that ends inside a chunk leaves nothing in the queue', async () => {
  const delivered = sink.delivered.length;
  const before = await postern.metric('postern_messages_accepted_total');
  for (const ending of [
    'BDAT 1000000 LAST\r\nSubj',
    'BDAT 1000000000 LAST\r\nSubj',
    'BDAT 3\r\nab',
    'BDAT 9\r\nSubject: BDAT 3 LAST\r\nx\r',
  ]) {
    const client = await SmtpClient.greeted(postern.smtpPort);
    await envelope(client);
    client.write(ending);
    client.raw.end();
    await client.ended();
  }
  const client = await SmtpClient.greeted(postern.smtpPort);
  await envelope(client);
  client.write('BDAT 6 LAST\r\nx: y\r\n');
  queueIdOf(await client.reply());
  client.destroy();
  expect(await postern.metric('postern_messages_accepted_total')).toBe(before + 1);
  await until('nothing is left', async () => (await postern.metric('postern_queue_messages')) === 0);
  expect(sink.delivered).toHaveLength(delivered + 1);
});

test('A-011: only the networks that are named have their newlines mended, and what arrives is canonical', async () => {
  const text = 'X-Test-Id: mended\n\nbody\n.\nrest\rend';
  for (const [localAddress, answer] of [
    ['127.0.0.1', /^550 5\.6\.0/],
    ['127.0.0.2', /^250 2\.0\.0 Ok/],
  ] as const) {
    const client = await SmtpClient.greeted(postern.smtpPort, { localAddress });
    await envelope(client);
    expect(await client.command('DATA')).toMatch(/^354/);
    client.write(`${text}\r\n.\r\n`);
    expect(await client.reply()).toMatch(answer);
    client.destroy();
  }
  expect(await arrived('mended')).toBe(
    sha256(Buffer.from('X-Test-Id: mended\r\n\r\nbody\r\n.\r\nrest\r\nend\r\n')),
  );
});
