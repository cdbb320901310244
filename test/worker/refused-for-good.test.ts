/** RFC 7504 over real sockets: what will never be taken is said to be so. */
import { afterAll, beforeAll, expect, test } from 'vitest';

import { SmtpClient } from '../support/smtp-client.js';
import { startWorker, type TestWorker } from './harness.js';

let running: TestWorker;

beforeAll(async () => {
  running = await startWorker({ domains: [{ names: ['gone.test'], recipients: 'none', route: 'nowhere' }] });
});

afterAll(async () => {
  await running.close();
});

test('C-131: a recipient of a domain that takes no mail is 556, whoever it is, and others of the message are taken', async () => {
  const client = await SmtpClient.greeted(running.port);
  expect(await client.command('MAIL FROM:<a@x.test>')).toMatch(/^250 /);
  for (const path of ['<b@gone.test>', '<Postmaster@GONE.test>', '<"b"@gone.test>'])
    expect(await client.command(`RCPT TO:${path}`)).toMatch(/^556 5\.1\.10 /);
  expect(await client.command('RCPT TO:<b@ok.test>')).toMatch(/^250 2\.1\.5 /);
  client.destroy();
});

test('C-131: a client that speaks no SMTP is 521 and the end', async () => {
  const client = await SmtpClient.connect(running.port);
  expect(await client.reply()).toMatch(/^220 /);
  client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  await client.ended();
  expect(client.rest()).toMatch(/^521 5\.5\.1 [^\r\n]+\r\n$/);
  client.destroy();
});
