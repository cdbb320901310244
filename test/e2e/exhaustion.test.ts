/**
 * What a client can pour into a server without end. Each attack runs against one server: its memory stays flat, its
 * workers live, and somebody else is served meanwhile. Load is bounded and stays on loopback.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';

import { startPostern, withStartTls, type RunningPostern } from '../support/postern.js';
import { memoryOf, until } from '../support/processes.js';
import { SmtpClient } from '../support/smtp-client.js';

const MiB = 2 ** 20;
// What the attacks below pour in is 10 to 60 MB each. Garbage of two or three collections fits, a copy of it does not.
const growthBytes = 32 * MiB;

let postern: RunningPostern;
let pids: number[] = [];
const clients: SmtpClient[] = [];

beforeAll(async () => {
  postern = await startPostern({
    config: {
      ...withStartTls,
      workers: 1,
      limits: { junkCommands: 1_000_000, tlsHandshakeTimeout: '2s', messageBytes: '25MiB' },
      // Nobody greets there: what is queued is counted.
      routes: { disk: { to: 'smtp://127.0.0.1:9', tls: 'off', retry: { first: '1h' } } },
    },
  });
  pids = postern.workerPids();
  // The first messages make what stays: pages of the queue, compiled code.
  const client = await SmtpClient.greeted(postern.smtpPort);
  for (let n = 0; n < 20; n++) await client.send(`Subject: warm\r\n\r\n${'x'.repeat(500)}`);
  client.destroy();
});

afterAll(async () => {
  await postern.dispose();
});

async function attacker(): Promise<SmtpClient> {
  const client = await SmtpClient.greeted(postern.smtpPort);
  client.raw.on('error', () => undefined);
  clients.push(client);
  return client;
}

async function inTransaction(): Promise<SmtpClient> {
  const client = await attacker();
  for (const line of ['MAIL FROM:<a@client.test>', 'RCPT TO:<b@example.test>'])
    expect(await client.command(line)).toMatch(/^250 /);
  return client;
}

/** Writes as fast as the server takes it, until it takes no more for a while, closes, or all is written. */
async function pour(client: SmtpClient, block: string, times: number): Promise<void> {
  const bytes = Buffer.from(block, 'latin1');
  for (let n = 0; n < times && !client.closed; n++) {
    if (client.raw.write(bytes)) continue;
    const taken = await Promise.race([
      new Promise((resolve) => client.raw.once('drain', () => resolve(true))),
      client.ended(),
      new Promise((resolve) => setTimeout(resolve, 300, false)),
    ]);
    // It has stopped reading: what it was asked to bear is with the kernel now.
    if (taken !== true) return;
  }
}

/** Runs it, with somebody served in the middle of it, and says what is left to say about the server. */
async function withstands(attack: () => Promise<void>): Promise<void> {
  const [pid = 0] = pids;
  const before = memoryOf(pid, 'RssAnon');
  const queuedBefore = await postern.metric('postern_messages_accepted_total');
  let most = before;
  const watch = setInterval(() => (most = Math.max(most, memoryOf(pid, 'RssAnon'))), 20);
  try {
    const attacking = attack();
    const good = await SmtpClient.greeted(postern.smtpPort);
    expect(await good.send('Subject: good\r\n\r\nserved meanwhile')).toMatch(/^250 2\.0\.0/);
    await attacking;
    expect(await good.send('Subject: good\r\n\r\nserved afterwards')).toMatch(/^250 2\.0\.0/);
    good.destroy();
  } finally {
    clearInterval(watch);
    for (const client of clients.splice(0)) client.destroy();
  }
  expect(most - before).toBeLessThan(growthBytes);
  expect(postern.workerPids()).toEqual(pids);
  // Nothing of the attacks was taken: only the two good ones.
  expect((await postern.metric('postern_messages_accepted_total')) - queuedBefore).toBe(2);
}

test('A-045: 500 000 NOOPs without reading one reply', async () => {
  await withstands(async () => {
    const client = await attacker();
    client.raw.pause();
    await pour(client, 'NOOP\r\n'.repeat(10_000), 50);
  });
});

test('A-060: 60 MB of a command without a line end', async () => {
  await withstands(async () => {
    const client = await attacker();
    await pour(client, 'N'.repeat(65_536), 900);
    await client.ended();
    expect(client.rest()).toMatch(/^500 5\.5\.2 [^\r\n]+\r\n421 4\.7\.0 [^\r\n]+\r\n$/);
  });
});

test('A-060: a body line of 24 MB is refused at the end of data, not gathered', async () => {
  await withstands(async () => {
    const client = await inTransaction();
    expect(await client.command('DATA')).toMatch(/^354 /);
    client.write('Subject: x\r\n\r\n');
    await pour(client, 'x'.repeat(65_536), 380);
    client.write('\r\n.\r\n');
    expect(await client.reply()).toMatch(/^550 5\.6\.0 /);
    expect(await client.command('NOOP')).toMatch(/^250 /);
  });
});

test('A-061: a header of a million fields that never ends', async () => {
  await withstands(async () => {
    const client = await inTransaction();
    expect(await client.command('DATA')).toMatch(/^354 /);
    await pour(client, 'X: y\r\n'.repeat(10_000), 100);
    client.write('.\r\n');
    expect(await client.reply()).toMatch(/^552 5\.3\.4 /);
  });
});

test('A-061: one header field folded over 20 MB', async () => {
  await withstands(async () => {
    const client = await inTransaction();
    expect(await client.command('DATA')).toMatch(/^354 /);
    client.write('X: y\r\n');
    await pour(client, ` ${'z'.repeat(70)}\r\n`.repeat(1_000), 280);
    client.write('.\r\n');
    expect(await client.reply()).toMatch(/^552 5\.3\.4 /);
  });
});

test('A-062: a million RCPTs: those that are too many are not kept, and their sender is sent away', async () => {
  await withstands(async () => {
    const client = await inTransaction();
    const replies = new Map<string, number>();
    client.raw.on('data', (chunk: Buffer) => {
      for (const [code] of chunk.toString('latin1').matchAll(/^\d{3} \d\.\d\.\d/gm))
        replies.set(code, (replies.get(code) ?? 0) + 1);
    });
    await pour(client, 'RCPT TO:<someone@example.test>\r\n'.repeat(1_000), 1_000);
    await client.ended();
    expect(replies.get('250 2.1.5')).toBe(999); // with the one before
    expect(replies.get('452 4.5.3') ?? 0).toBeGreaterThan(500);
    expect(replies.get('421 4.7.0')).toBe(1);
  });
});

test('A-064: SIZE=10 and 40 MB: 552 at the end of data', async () => {
  await withstands(async () => {
    const client = await attacker();
    expect(await client.command('MAIL FROM:<a@client.test> SIZE=10')).toMatch(/^250 /);
    expect(await client.command('RCPT TO:<b@example.test>')).toMatch(/^250 /);
    expect(await client.command('DATA')).toMatch(/^354 /);
    client.write('Subject: x\r\n\r\n');
    await pour(client, `${'x'.repeat(78)}\r\n`.repeat(800), 640);
    client.write('.\r\n');
    expect(await client.reply()).toMatch(/^552 5\.3\.4 /);
  });
});

test('A-025: 200 clients stop in the middle of a TLS handshake, and are gone at its deadline', async () => {
  await withstands(async () => {
    const halves = await Promise.all(Array.from({ length: 200 }, attacker));
    for (const client of halves) {
      expect(await client.command('STARTTLS')).toMatch(/^220 /);
      // A record that announces 512 bytes of ClientHello, and 5 of them.
      client.write(Buffer.from('1603010200010001fc0303', 'hex'));
    }
    await until('all were cut', () => halves.every((client) => client.closed));
  });
});
