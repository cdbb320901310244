/** What holds a client up or sends it away, with whole processes: errors, early talk, slow messages, load. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';

import { startPostern, type RunningPostern } from '../support/postern.js';
import { until } from '../support/processes.js';
import { SmtpClient } from '../support/smtp-client.js';

let postern: RunningPostern;
const clients: SmtpClient[] = [];

beforeAll(async () => {
  postern = await startPostern({
    config: {
      workers: 1,
      limits: {
        exempt: [],
        softErrors: 2,
        errorDelay: '200ms',
        dataRateAfter: '1s',
        dataBytesPerSecond: 100_000,
        connectionsPerWorker: 10,
        stress: { commandTimeout: '1s' },
      },
    },
  });
});

afterEach(() => {
  for (const client of clients.splice(0)) client.destroy();
});

afterAll(async () => {
  await postern.dispose();
});

async function connect(port = postern.smtpPort): Promise<SmtpClient> {
  const client = await SmtpClient.connect(port);
  clients.push(client);
  return client;
}

async function greeted(): Promise<SmtpClient> {
  const client = await connect();
  expect(await client.reply()).toMatch(/^220 /);
  expect(await client.command('EHLO t')).toMatch(/^250/m);
  return client;
}

test('A-040: who speaks before the end of the greeting gets 554, who waits is served', async () => {
  // Long enough for a busy machine: what is said at once is said in time.
  const teasing = await startPostern({
    config: { workers: 1, limits: { exempt: [] }, policy: { greetDelay: '3s' } },
  });
  try {
    const [early, polite] = [await connect(teasing.smtpPort), await connect(teasing.smtpPort)];
    early.write('EHLO t\r\n');
    await early.ended();
    expect(early.rest()).toMatch(/^220-[^\n]*\r\n554 5\.5\.0 [^\n]*\r\n$/);
    // Its second line has not come yet.
    expect(polite.rest()).toMatch(/^220-[^\n]*\r\n$/);
    // One reply of two lines, RFC 5321 §4.2.1.
    expect((await polite.reply()).split('\n').map((line) => line.slice(0, 4))).toEqual(['220-', '220 ']);
    expect(await polite.command('EHLO t')).toMatch(/^250/m);
    expect(await polite.send('Subject: x\r\n\r\nx')).toMatch(/^250 2\.0\.0/);
  } finally {
    await teasing.dispose();
  }
});

test('A-041: what is sent behind EHLO without its reply ends the session', async () => {
  const client = await connect();
  await client.reply();
  client.write('EHLO t\r\nMAIL FROM:<a@client.test>\r\n');
  expect(await client.reply()).toMatch(/^554 5\.5\.0/);
  await client.ended();
});

test('A-046: errors are answered in order, the last ones after their time, others are served meanwhile', async () => {
  const client = await greeted();
  client.write('FOO\r\nFOO\r\nFOO\r\nFOO\r\nNOOP\r\n');
  for (let n = 0; n < 3; n++) expect(await client.reply()).toMatch(/^500/);
  const other = await greeted();
  expect(await other.command('NOOP')).toMatch(/^250/);
  expect(await client.reply()).toMatch(/^500/);
  expect(await client.reply()).toMatch(/^250/);
});

test('A-051: a message that drips is cut with 421, and nothing of it is queued', async () => {
  const client = await greeted();
  for (const line of ['MAIL FROM:<a@client.test>', 'RCPT TO:<b@example.test>', 'DATA'])
    expect(await client.command(line)).toMatch(/^[23]/);
  const drip = setInterval(() => client.write('x'), 100);
  try {
    expect(await client.reply()).toMatch(/^421 4\.4\.2/);
    await client.ended();
  } finally {
    clearInterval(drip);
  }
  expect(await postern.metric('postern_messages_accepted_total')).toBe(0);
  expect(await postern.metric('postern_queue_messages')).toBe(0);
});

test('stress: at four fifths of its connections a worker has short limits, and its usual ones when they are gone', async () => {
  const first = await greeted();
  for (let n = 0; n < 7; n++) await connect();
  await until('the log tells', () => postern.log.some(({ event }) => event === 'stress.entered'));
  // Idle for longer than one second, which is nothing in quiet times.
  expect(await first.reply()).toMatch(/^421 4\.4\.2/);
  await until('the worker is at ease again', async () => (await postern.metric('postern_stress')) === 0);
  await until('the log tells that too', () => postern.log.some(({ event }) => event === 'stress.left'));
  const late = await greeted();
  expect(await late.command('NOOP')).toMatch(/^250/);
});
