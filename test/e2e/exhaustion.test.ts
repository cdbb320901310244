/**
 * What a client can pour into a server without end. Each attack runs against one server: its memory stays flat, its
 * workers live, and somebody else is served meanwhile. Load is bounded and stays on loopback.
 */
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';

import { startPostern, withStartTls, type RunningPostern } from '../support/postern.js';
import { memoryOf, until } from '../support/processes.js';
import { SmtpClient } from '../support/smtp-client.js';

const MiB = 2 ** 20;
// Each attack pours in twice as much and more. Garbage of two or three collections fits, a copy of it does not.
const growthBytes = 32 * MiB;
const pouredBytes = 64 * MiB;
// Larger than what most of them say, so that it is not this that holds them back.
const messageBytes = 72 * MiB;
// Nothing is taken for so long: the server has stopped reading.
const stallMs = 3_000;

let postern: RunningPostern;
let pids: number[] = [];
const clients: SmtpClient[] = [];

beforeAll(async () => {
  postern = await startPostern({
    config: {
      ...withStartTls,
      workers: 1,
      limits: { junkCommands: 1_000_000, errorDelay: '0', tlsHandshakeTimeout: '2s', messageBytes },
      // Nobody greets there: what is queued is counted.
      routes: { disk: { to: 'smtp://127.0.0.1:9', tls: 'off', retry: { first: '1h' } } },
    },
  });
  pids = postern.workerPids();
  // The first messages make what stays: pages of the queue, compiled code, and of a large one the buffers of its chunks.
  const client = await SmtpClient.greeted(postern.smtpPort);
  for (let n = 0; n < 20; n++) await client.send(`Subject: warm\r\n\r\n${'x'.repeat(500)}`);
  expect(await client.send(`Subject: large\r\n\r\n${`${'x'.repeat(78)}\r\n`.repeat(400_000)}`)).toMatch(
    /^250 /,
  );
  client.destroy();
});

afterAll(async () => {
  await postern.dispose();
});

/** One that goes on sending when the server has said its last word. */
async function attacker(): Promise<SmtpClient> {
  const socket = connect({ port: postern.smtpPort, host: '127.0.0.1', allowHalfOpen: true });
  const client = SmtpClient.over(socket);
  clients.push(client);
  await client.reply();
  await client.command('EHLO attacker.test');
  return client;
}

async function inTransaction(): Promise<SmtpClient> {
  const client = await attacker();
  for (const line of ['MAIL FROM:<a@client.test>', 'RCPT TO:<b@example.test>'])
    expect(await client.command(line)).toMatch(/^250 /);
  return client;
}

/** Writes as fast as the server takes it, until it takes no more, the connection is gone, or all is written: bytes taken. */
async function pour({ raw }: SmtpClient, unit: string, bytes: number, patienceMs = stallMs): Promise<number> {
  const block = Buffer.alloc(Math.ceil(65_536 / unit.length) * unit.length, unit, 'latin1');
  let taken = 0;
  for (; taken < bytes && !raw.destroyed; taken += block.length) {
    if (raw.write(block)) continue;
    const drained = await Promise.race([
      once(raw, 'drain').then(() => true),
      once(raw, 'close').then(() => true),
      sleep(patienceMs, false),
    ]).catch(() => true);
    if (!drained) return taken;
  }
  return taken;
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

test('A-045: ten million NOOPs without reading one reply: most of them are not even read', async () => {
  await withstands(async () => {
    const client = await attacker();
    client.raw.pause();
    expect(await pour(client, 'NOOP\r\n', pouredBytes, 500)).toBeLessThan(pouredBytes);
    expect(client.raw.writableLength).toBeGreaterThan(0);
  });
});

test('A-060: 64 MB of a command without a line end', async () => {
  await withstands(async () => {
    const client = await attacker();
    expect(await pour(client, 'N', pouredBytes)).toBeGreaterThanOrEqual(pouredBytes);
    await client.ended();
    expect(client.rest()).toMatch(/^500 5\.5\.2 [^\r\n]+\r\n421 4\.7\.0 [^\r\n]+\r\n$/);
  });
});

test('A-060: a body line of 64 MB is refused at the end of data, not gathered', async () => {
  await withstands(async () => {
    const client = await inTransaction();
    expect(await client.command('DATA')).toMatch(/^354 /);
    client.write('Subject: x\r\n\r\n');
    expect(await pour(client, 'x', pouredBytes)).toBeGreaterThanOrEqual(pouredBytes);
    client.write('\r\n.\r\n');
    expect(await client.reply()).toMatch(/^550 5\.6\.0 /);
    expect(await client.command('NOOP')).toMatch(/^250 /);
  });
});

test('A-061: a header of ten million fields that never ends', async () => {
  await withstands(async () => {
    const client = await inTransaction();
    expect(await client.command('DATA')).toMatch(/^354 /);
    expect(await pour(client, 'X: y\r\n', pouredBytes)).toBeGreaterThanOrEqual(pouredBytes);
    client.write('.\r\n');
    expect(await client.reply()).toMatch(/^552 5\.3\.4 /);
  });
});

test('A-061: one header field folded over 64 MB', async () => {
  await withstands(async () => {
    const client = await inTransaction();
    expect(await client.command('DATA')).toMatch(/^354 /);
    client.write('X: y\r\n');
    expect(await pour(client, ` ${'z'.repeat(70)}\r\n`, pouredBytes)).toBeGreaterThanOrEqual(pouredBytes);
    client.write('.\r\n');
    expect(await client.reply()).toMatch(/^552 5\.3\.4 /);
  });
});

test('A-062: two million RCPTs: those that are too many are not kept, and their sender is sent away', async () => {
  await withstands(async () => {
    const client = await inTransaction();
    const replies = new Map<string, number>();
    client.raw.on('data', (chunk: Buffer) => {
      for (const [code] of chunk.toString('latin1').matchAll(/^\d{3} \d\.\d\.\d/gm))
        replies.set(code, (replies.get(code) ?? 0) + 1);
    });
    const unit = 'RCPT TO:<someone@example.test>\r\n';
    expect(await pour(client, unit, pouredBytes)).toBeGreaterThanOrEqual(pouredBytes);
    await client.ended();
    expect(replies.get('250 2.1.5')).toBe(999); // with the one before
    expect(replies.get('452 4.5.3') ?? 0).toBeGreaterThan(500);
    expect(replies.get('421 4.7.0')).toBe(1);
  });
});

test('A-064: SIZE=10 and more than a message may have: 552 at the end of data', async () => {
  await withstands(async () => {
    const client = await attacker();
    expect(await client.command('MAIL FROM:<a@client.test> SIZE=10')).toMatch(/^250 /);
    expect(await client.command('RCPT TO:<b@example.test>')).toMatch(/^250 /);
    expect(await client.command('DATA')).toMatch(/^354 /);
    client.write('Subject: x\r\n\r\n');
    await pour(client, `${'x'.repeat(78)}\r\n`, messageBytes + MiB);
    client.write('.\r\n');
    expect(await client.reply()).toMatch(/^552 5\.3\.4 /);
  });
});

test('A-071 A-073: BDAT of 10^18 octets, which nobody can count, is 501, 421 and the end, and its octets are nothing', async () => {
  await withstands(async () => {
    const client = await inTransaction();
    client.write('BDAT 1000000000000000000 LAST\r\n');
    expect(await pour(client, 'NOOP\r\n', pouredBytes)).toBeGreaterThanOrEqual(pouredBytes);
    await client.ended();
    expect(client.rest()).toMatch(/^501 5\.5\.4 [^\r\n]+\r\n421 4\.7\.0 [^\r\n]+\r\n$/);
  });
});

test('A-072 A-073: BDAT of 10^15 octets, of which 64 MB come, keeps none of them', async () => {
  await withstands(async () => {
    const client = await inTransaction();
    client.write('BDAT 1000000000000000 LAST\r\n');
    expect(await pour(client, 'NOOP\r\n', pouredBytes)).toBeGreaterThanOrEqual(pouredBytes);
    // They are octets, not commands; and the chunk has not ended.
    expect([client.closed, client.rest()]).toEqual([false, '']);
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
