/** Flow in both directions: pipelining, clients that read slowly, memory that does not grow with the message. */
import { afterEach, expect, test } from 'vitest';
import { startPostern, withStartTls, type RunningPostern } from '../support/postern.js';
import { memoryOf, until } from '../support/processes.js';
import { RecordingSink } from '../support/recording-sink.js';
import { SmtpClient, queueIdOf } from '../support/smtp-client.js';

const MiB = 2 ** 20;
let postern: RunningPostern | undefined;
let sink: RecordingSink | undefined;

afterEach(async () => {
  await postern?.dispose();
  await sink?.close();
  postern = undefined;
  sink = undefined;
});

test('C-081: 500 pipelined RCPTs give 500 replies in order, in few writes', async () => {
  postern = await startPostern({ config: { limits: { softErrors: 1_000 } } });
  const client = await SmtpClient.greeted(postern.smtpPort);
  let segments = 0;
  client.raw.on('data', () => (segments += 1));
  const commands = Array.from({ length: 500 }, (_, n) =>
    n % 5 === 4 ? `RCPT TO:<user${n}@elsewhere.test>\r\n` : `RCPT TO:<user${n}@example.test>\r\n`,
  );
  client.write(`MAIL FROM:<a@client.test>\r\n${commands.join('')}`);
  expect(await client.reply()).toMatch(/^250 2\.1\.0/);
  for (let n = 0; n < 9; n++) {
    // The tenth refusal would end the session (limits.errors): nine of them come in order.
    for (let k = 0; k < 4; k++) expect(await client.reply()).toMatch(/^250 2\.1\.5/);
    expect(await client.reply()).toMatch(/^550 5\.7\.1/);
  }
  expect(segments).toBeLessThan(20);
  client.destroy();

  const good = await SmtpClient.greeted(postern.smtpPort);
  segments = 0;
  good.raw.on('data', () => (segments += 1));
  const accepted = Array.from({ length: 500 }, (_, n) => `RCPT TO:<user${n}@example.test>\r\n`);
  good.write(`MAIL FROM:<a@client.test>\r\n${accepted.join('')}`);
  for (let n = 0; n <= 500; n++) expect(await good.reply()).toMatch(/^250 2\.1\./);
  expect(segments).toBeLessThan(20);
  good.destroy();
});

test('A-045: NOOPs whose replies nobody reads stop being read, and others are served', async () => {
  postern = await startPostern({ config: { limits: { junkCommands: 1_000_000 } } });
  const flood = await SmtpClient.greeted(postern.smtpPort);
  flood.raw.pause();
  const block = Buffer.from('NOOP\r\n'.repeat(10_000));
  for (let n = 0; n < 50; n++) flood.write(block);
  const client = await SmtpClient.greeted(postern.smtpPort);
  expect(await client.send('Subject: x\r\n\r\nserved')).toMatch(/^250/);
  const pids = postern.workerPids();
  for (const pid of pids) expect(memoryOf(pid, 'RssAnon')).toBeLessThan(400 * MiB);
  flood.destroy();
  client.destroy();
  expect(postern.workerPids()).toEqual(pids);
});

/** Streams `bytes` of CRLF lines as one message; gives the reply to its end. */
async function sendLarge(client: SmtpClient, bytes: number, id = ''): Promise<string> {
  for (const line of ['MAIL FROM:<a@client.test>', 'RCPT TO:<b@example.test>', 'DATA']) {
    const reply = await client.command(line);
    if (!/^[23]/.test(reply)) return reply;
  }
  client.write(`Subject: large\r\nX-Test-Id: ${id}\r\n\r\n`);
  const block = Buffer.from(`${'x'.repeat(76)}\r\n`.repeat(800));
  for (let sent = 0; sent < bytes; sent += block.length) {
    if (!client.raw.write(block)) await new Promise((resolve) => client.raw.once('drain', resolve));
  }
  client.write('.\r\n');
  return client.reply();
}

async function peakWhile(pid: number, work: () => Promise<unknown>): Promise<number> {
  let peak = 0;
  const timer = setInterval(() => (peak = Math.max(peak, memoryOf(pid, 'RssAnon'))), 20);
  try {
    await work();
  } finally {
    clearInterval(timer);
  }
  return Math.max(peak, memoryOf(pid, 'RssAnon'));
}

test('U-10: memory does not grow with the message: 200 MiB peaks at most 16 MiB above 20 MiB', async () => {
  postern = await startPostern({ config: { workers: 1, limits: { messageBytes: '256MiB' } } });
  const [pid] = postern.workerPids();
  if (pid === undefined) throw new Error('no worker');
  const client = await SmtpClient.greeted(postern.smtpPort);
  const running = postern;
  const relayed = (count: number) =>
    until(
      'all is relayed',
      async () => (await running.metric('postern_relay_deliveries_total')) >= count,
      120_000,
    );
  for (let n = 0; n < 5; n++) queueIdOf(await sendLarge(client, 20 * MiB));
  await relayed(5);
  const small = await peakWhile(pid, async () => {
    queueIdOf(await sendLarge(client, 20 * MiB));
    await relayed(6);
  });
  const large = await peakWhile(pid, async () => {
    queueIdOf(await sendLarge(client, 200 * MiB));
    await relayed(7);
  });
  expect(large - small).toBeLessThan(16 * MiB);
  client.destroy();
}, 240_000);

test('A-065 G-13: 100 messages of 20 MiB at once stay inside bytesInFlight by pausing reads, and all arrive', async () => {
  const budget = 32 * MiB;
  postern = await startPostern({ config: { workers: 1, limits: { bytesInFlight: '32MiB' } } });
  const running = postern;
  const clients = await Promise.all(Array.from({ length: 100 }, () => SmtpClient.greeted(running.smtpPort)));
  let mostInFlight = 0;
  const watch = setInterval(() => {
    void running
      .metric('postern_queue_bytes_in_flight')
      .then((bytes) => (mostInFlight = Math.max(mostInFlight, bytes)));
  }, 100);
  const replies = await Promise.all(clients.map((client, n) => sendLarge(client, 20 * MiB, `m${n}`)));
  clearInterval(watch);
  expect(new Set(replies.map(queueIdOf)).size).toBe(100);
  expect(mostInFlight).toBeGreaterThan(0);
  expect(mostInFlight).toBeLessThanOrEqual(budget);
  for (const client of clients) client.destroy();
}, 240_000);

test('C-110 A-024: after STARTTLS the session begins anew and mail flows inside TLS', async () => {
  postern = await startPostern({ config: withStartTls });
  const client = await SmtpClient.connect(postern.smtpPort);
  await client.reply();
  expect(await client.command('EHLO client.test')).toContain('STARTTLS');
  await client.command('MAIL FROM:<a@client.test>');
  await client.startTls();
  expect(await client.command('RCPT TO:<b@example.test>')).toMatch(/^503/);
  expect(await client.command('EHLO client.test')).not.toContain('STARTTLS');
  expect(await client.send('Subject: x\r\n\r\nsecret')).toMatch(/^250 2\.0\.0/);
  client.destroy();
});

test('A-020 A-021: a command injected behind STARTTLS is never answered inside TLS', async () => {
  postern = await startPostern({ config: withStartTls });
  for (const injected of [
    'EHLO injected\r\n',
    'NO',
    'MAIL FROM:<a@x.test>\r\nRCPT TO:<b@example.test>\r\n',
  ]) {
    const client = await SmtpClient.connect(postern.smtpPort);
    await client.reply();
    await client.command('EHLO client.test');
    client.write(`STARTTLS\r\n${injected}`);
    expect(await client.reply()).toMatch(/^554 5\.5\.0/);
    await client.ended();
    expect(client.rest()).toBe('');
  }
});

test('C-025 F-42: a message cut before its end is not queued; one whose sender left after the dot is', async () => {
  sink = await RecordingSink.open();
  postern = await startPostern({
    config: { routes: { disk: { to: `smtp://127.0.0.1:${sink.port}`, tls: 'off' } } },
  });
  const cut = await SmtpClient.greeted(postern.smtpPort);
  await cut.command('MAIL FROM:<a@client.test>');
  await cut.command('RCPT TO:<b@example.test>');
  await cut.command('DATA');
  cut.write('X-Test-Id: cut\r\n\r\nhalf a mess');
  cut.destroy();
  const gone = await SmtpClient.greeted(postern.smtpPort);
  await gone.command('MAIL FROM:<a@client.test>');
  await gone.command('RCPT TO:<b@example.test>');
  await gone.command('DATA');
  gone.raw.end('X-Test-Id: gone\r\n\r\nwhole\r\n.\r\n');
  const at = sink;
  await until('the whole one arrives', () => at.byId().has('gone'));
  const last = await SmtpClient.greeted(postern.smtpPort);
  expect(await last.send('X-Test-Id: last\r\n\r\nx')).toMatch(/^250/);
  await until('the last one arrives', () => at.byId().has('last'));
  expect([...at.byId().keys()].toSorted()).toEqual(['gone', 'last']);
  last.destroy();
});
