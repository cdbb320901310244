/** What a message's envelope keeps of the session that brought it, and what happens when the queue has no room. */
import { createTransport } from 'nodemailer';
import { afterEach, describe, expect, test } from 'vitest';

import { SmtpClient } from '../support/smtp-client.js';
import { freePort } from '../support/ports.js';
import { startWorker, type TestWorker, type TestWorkerOptions } from './harness.js';

let running: TestWorker | undefined;
const clients: SmtpClient[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await running?.close();
  running = undefined;
});

async function start(
  options: TestWorkerOptions = {},
): Promise<{ worker: TestWorker['worker']; client: SmtpClient }> {
  running = await startWorker(options);
  const client = await SmtpClient.connect(running.port);
  clients.push(client);
  await client.reply();
  await client.command('EHLO t');
  return { worker: running.worker, client };
}

/** @returns the id of the message */
async function deliver(client: SmtpClient, mail: string, ...rcpts: readonly string[]): Promise<string> {
  expect(await client.command(mail)).toMatch(/^250/);
  for (const rcpt of rcpts) expect(await client.command(rcpt)).toMatch(/^250/);
  expect(await client.command('DATA')).toMatch(/^354/);
  const queued = /queued as (\S+)/.exec(await client.command('Subject: x\r\n\r\nx\r\n.'));
  return queued?.[1] ?? '';
}

async function envelopeOf({ worker }: { worker: TestWorker['worker'] }, id: string): Promise<unknown> {
  const answer = await worker.call({ method: 'envelope', id });
  if (!answer.ok || answer.value === null || !('envelope' in answer.value)) throw new Error('no envelope');
  return answer.value.envelope;
}

describe('C-122 the parameters of DSN', () => {
  test('are kept as the client wrote them, for the relay and for notifications', async () => {
    const { worker, client } = await start();
    const id = await deliver(
      client,
      'MAIL FROM:<a@x.test> ret=hdrs ENVID=QQ+2B1 SMTPUTF8',
      'RCPT TO:<b@ok.test> NOTIFY=success,DELAY ORCPT=rfc822;B+2Bx@Y.test',
      'RCPT TO:<c@ok.test> NOTIFY=NEVER ORCPT=utf-8;\u7528\u6237@y.test',
      'RCPT TO:<d@ok.test>',
    );
    const envelope = await envelopeOf({ worker }, id);
    expect(envelope).toMatchObject({
      ret: 'HDRS',
      envelopeId: 'QQ+2B1',
      recipients: [
        { address: 'b@ok.test', notify: ['SUCCESS', 'DELAY'], originalRecipient: 'rfc822;B+2Bx@Y.test' },
        { address: 'c@ok.test', notify: [], originalRecipient: 'utf-8;\u7528\u6237@y.test' },
        { address: 'd@ok.test' },
      ],
    });
    expect(JSON.stringify(envelope).match(/"notify"/g)).toHaveLength(2);
  });

  test('C-123: of another client, nodemailer, are taken', async () => {
    const { worker } = await start();
    const transport = createTransport({ host: '127.0.0.1', port: running?.port ?? 0, ignoreTLS: true });
    const sent = await transport.sendMail({
      envelope: { from: 'a@x.test', to: ['b@ok.test', 'c@ok.test'] },
      text: 'x',
      dsn: { id: 'id 1+1=2', return: 'headers', notify: ['failure', 'delay'], recipient: 'Joe+x@x.test' },
    });
    transport.close();
    const id = /queued as (\S+)/.exec(sent.response)?.[1] ?? '';
    const recipient = { notify: ['FAILURE', 'DELAY'], originalRecipient: 'rfc822;Joe+2Bx@x.test' };
    expect(await envelopeOf({ worker }, id)).toMatchObject({
      ret: 'HDRS',
      envelopeId: 'id+201+2B1+3D2',
      recipients: [recipient, recipient],
    });
  });

  test('that were not given are not there', async () => {
    const { worker, client } = await start();
    const id = await deliver(client, 'MAIL FROM:<a@x.test>', 'RCPT TO:<b@ok.test>');
    expect(JSON.stringify(await envelopeOf({ worker }, id))).not.toMatch(
      /"(?:notify|originalRecipient|ret|envelopeId)":[^n]/,
    );
  });
});

test('a route to mx keeps the mail of each domain apart, in one spelling', async () => {
  const { worker, client } = await start({ to: `mx:${await freePort()}` });
  const id = await deliver(client, 'MAIL FROM:<a@x.test>', 'RCPT TO:<b@OK.Test>');
  expect(await envelopeOf({ worker }, id)).toMatchObject({
    recipients: [{ address: 'b@OK.Test', route: 'nowhere/ok.test' }],
  });
});

describe('F-22 a queue at its limit', () => {
  test('C-089: refuses MAIL with 452 before a byte of the message came, and says why; what leaves makes room', async () => {
    const { worker, client } = await start({ limits: { queueMessages: 2 } });
    const first = await deliver(client, 'MAIL FROM:<a@x.test>', 'RCPT TO:<b@ok.test>');
    await deliver(client, 'MAIL FROM:<a@x.test>', 'RCPT TO:<b@ok.test>');
    expect(await client.command('MAIL FROM:<a@x.test>')).toBe(
      '452 4.3.1 Insufficient system storage, try again later',
    );
    expect(worker.refusing).toBe('MAIL gets 452: limits.queueMessages is reached (2 in the queue)');
    expect(await worker.call({ method: 'delete', id: first })).toMatchObject({ ok: true });
    expect(worker.refusing).toBe('');
    await deliver(client, 'MAIL FROM:<a@x.test>', 'RCPT TO:<b@ok.test>');
  });

  test('holds for the next message of a pipeline too', async () => {
    const { client } = await start({ limits: { queueMessages: 1 } });
    expect(await client.command('MAIL FROM:<a@x.test>')).toMatch(/^250/);
    expect(await client.command('RCPT TO:<b@ok.test>')).toMatch(/^250/);
    expect(await client.command('DATA')).toMatch(/^354/);
    expect(await client.command('x\r\n.\r\nMAIL FROM:<a@x.test>')).toMatch(/^250 2\.0\.0 Ok: queued/);
    expect(await client.reply()).toMatch(/^452 4\.3\.1/);
  });
});
