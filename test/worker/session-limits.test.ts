/** What one client may do in a minute and how long a session may be, over real sockets to a Worker in this process. */
import { afterEach, describe, expect, test } from 'vitest';

import { SmtpClient } from '../support/smtp-client.js';
import { startWorker, type TestWorker, type TestWorkerOptions } from './harness.js';

let running: TestWorker | undefined;
const clients: SmtpClient[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await running?.close();
  running = undefined;
});

/** No network is exempt. */
async function start({ limits, ...options }: TestWorkerOptions): Promise<number> {
  running = await startWorker({ ...options, limits: { exempt: [], ...limits } });
  return running.port;
}

async function greeted(port: number, localAddress = '127.0.0.1'): Promise<SmtpClient> {
  const client = await SmtpClient.greeted(port, { localAddress });
  clients.push(client);
  return client;
}

async function say(client: SmtpClient, ...lines: readonly string[]): Promise<string[]> {
  const replies: string[] = [];
  for (const line of lines) replies.push((await client.command(line)).slice(0, 9));
  return replies;
}

const mail = 'MAIL FROM:<a@x.test>';
const rcpt = 'RCPT TO:<b@ok.test>';

describe('A-053 what a client network may send in a minute: beyond it RCPT gets 451', () => {
  test.each([
    ['host', { messagesPerHostPerMinute: 2 }, '127.0.0.1', '127.0.0.2'],
    ['network', { messagesPerNetworkPerMinute: 2 }, '127.0.0.2', '127.0.1.1'],
  ])('messages of a %s', async (_, limits, same, other) => {
    const port = await start({ limits });
    const client = await greeted(port);
    for (let n = 0; n < 2; n++)
      expect(await client.send('Subject: x\r\n\r\nx', { to: 'b@ok.test' })).toMatch(/^250 2\.0\.0 /);
    expect(await say(client, mail, rcpt, 'DATA')).toEqual(['250 2.1.0', '451 4.7.1', '554 5.5.1']);
    // In a session of its own too, and whoever is of another one is served.
    expect(await say(await greeted(port, same), mail, rcpt)).toEqual(['250 2.1.0', '451 4.7.1']);
    expect(await say(await greeted(port, other), mail, rcpt)).toEqual(['250 2.1.0', '250 2.1.5']);
  });

  test.each([
    ['host', { recipientsPerHostPerMinute: 3 }, '127.0.0.1', '127.0.0.2'],
    ['network', { recipientsPerNetworkPerMinute: 3 }, '127.0.0.2', '127.0.1.1'],
  ])('recipients of a %s; those accepted before stay', async (_, limits, same, other) => {
    const port = await start({ limits });
    const client = await greeted(port);
    expect(await say(client, mail, rcpt, rcpt, rcpt, rcpt)).toEqual([
      '250 2.1.0',
      '250 2.1.5',
      '250 2.1.5',
      '250 2.1.5',
      '451 4.7.1',
    ]);
    expect(await client.command('DATA')).toMatch(/^354 /);
    client.write('Subject: x\r\n\r\nx\r\n.\r\n');
    expect(await client.reply()).toMatch(/^250 2\.0\.0 /);
    expect(await say(await greeted(port, same), mail, rcpt)).toEqual(['250 2.1.0', '451 4.7.1']);
    expect(await say(await greeted(port, other), mail, rcpt)).toEqual(['250 2.1.0', '250 2.1.5']);
    const stats = await running?.worker.call({ method: 'list', filter: {}, offset: 0, limit: 10 });
    expect(stats).toMatchObject({ value: { messages: [{ recipients: { length: 3 } }] } });
  });

  test('a recipient that is refused counts on none of them', async () => {
    const port = await start({ limits: { recipientsPerHostPerMinute: 1 } });
    const client = await greeted(port);
    expect(await say(client, mail, 'RCPT TO:<b@no.test>', rcpt, rcpt)).toEqual([
      '250 2.1.0',
      '550 5.7.1',
      '250 2.1.5',
      '451 4.7.1',
    ]);
  });

  test('limits.exempt is free of both', async () => {
    const limits = { messagesPerHostPerMinute: 1, recipientsPerHostPerMinute: 1, exempt: ['127.0.0.0/8'] };
    const client = await greeted(await start({ limits }));
    for (let n = 0; n < 3; n++)
      expect(await client.send('Subject: x\r\n\r\nx', { to: 'b@ok.test' })).toMatch(/^250 2\.0\.0 /);
  });
});

test('A-054: a session that lasts too long is ended with 421 between two messages, not in one', async () => {
  const port = await start({ exactLimits: { sessionAgeMs: 2000 } });
  const [idle, busy, late] = [await greeted(port), await greeted(port), await greeted(port)];
  expect(await say(busy, mail, rcpt)).toEqual(['250 2.1.0', '250 2.1.5']);
  expect(await say(late, mail, rcpt)).toEqual(['250 2.1.0', '250 2.1.5']);
  expect(await idle.reply()).toMatch(/^421 4\.7\.0 This session has lasted too long/);
  await idle.ended();
  // As old, and goes on until its message is taken.
  expect(await busy.command('DATA')).toMatch(/^354 /);
  busy.write('Subject: x\r\n\r\nx\r\n.\r\n');
  expect(await busy.reply()).toMatch(/^250 2\.0\.0 /);
  expect(await busy.reply()).toMatch(/^421 4\.7\.0 /);
  // Who keeps a transaction open has twice as long.
  expect(await late.reply()).toMatch(/^421 4\.7\.0 /);
  await late.ended();
});

test('A-046: what a client says after too many errors waits for errorDelay, and others do not', async () => {
  const port = await start({ limits: { softErrors: 2, errorDelay: '2s' } });
  const client = await greeted(port);
  client.write('FOO\r\nFOO\r\nFOO\r\nNOOP\r\nRSET\r\n');
  for (let n = 0; n < 3; n++) expect(await client.reply()).toMatch(/^500 /);
  const other = await greeted(port);
  for (let n = 0; n < 20; n++) expect(await other.command(n % 2 === 0 ? mail : 'RSET')).toMatch(/^250 /);
  expect(client.rest()).toBe('');
  expect(await client.reply()).toMatch(/^250 2\.0\.0 /);
  expect(await client.reply()).toMatch(/^250 2\.0\.0 /);
});
