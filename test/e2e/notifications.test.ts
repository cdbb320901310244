/**
 * Who gets which notification from a whole Postern, read out of a Maildir by Python's email package. Hops are scripted
 * ones and Postfix's smtp-sink. Expiry and delay take longer than a test may: test/relay/notifications/with-queue has
 * them, over the real queue with a clock of its own.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { FakeHop } from '../support/fake-hop.js';
import { skipReason, startSmtpSink, type Peer } from '../support/peers.js';
import { startPostern, type RunningPostern } from '../support/postern.js';
import { until } from '../support/processes.js';
import { readReports, type ReadReport } from '../support/read-report.js';
import { queueIdOf, SmtpClient } from '../support/smtp-client.js';

/** Refuses whom it does not know. */
const answers = {
  RCPT: ({ line }: { line: string }): string =>
    line.includes('<nobody@') ? '550 5.1.1 No such user here' : '250 2.1.5 Ok',
};
const message = 'From: a@senders.test\r\nSubject: lunch\r\nMessage-ID: <lunch@senders.test>\r\n\r\nAt noon?';

function hopAt(port: number): { to: string; tls: string } {
  return { to: `smtp://127.0.0.1:${port}`, tls: 'off' };
}

describe.skipIf(skipReason('python3', 'smtp-sink'))('notifications', () => {
  const plain = new FakeHop({ extensions: ['PIPELINING', 'SIZE 20000'], answers });
  const speaksDsn = new FakeHop({ extensions: ['PIPELINING', 'DSN'], answers });
  let refusing: Peer;
  let withoutDsn: Peer;
  let postern: RunningPostern;

  beforeAll(async () => {
    await Promise.all([plain.listen(), speaksDsn.listen()]);
    refusing = await startSmtpSink(['-f', 'RCPT']);
    withoutDsn = await startSmtpSink(['-N']);
    postern = await startPostern({
      config: {
        postmaster: 'postmaster@senders.test',
        domains: [
          { names: ['senders.test'], recipients: 'any', route: 'disk' },
          { names: ['plain.test'], recipients: 'any', route: 'plain' },
          { names: ['dsn.test'], recipients: 'any', route: 'dsn' },
          { names: ['refusing.test'], recipients: 'any', route: 'refusing' },
          { names: ['without-dsn.test'], recipients: 'any', route: 'withoutDsn' },
        ],
        routes: {
          plain: hopAt(plain.port),
          dsn: hopAt(speaksDsn.port),
          refusing: hopAt(refusing.port),
          withoutDsn: hopAt(withoutDsn.port),
        },
      },
    });
  });

  afterAll(async () => {
    await postern?.dispose();
    await Promise.all([plain.close(), speaksDsn.close(), refusing?.stop(), withoutDsn?.stop()]);
  });

  /** @returns its queue id */
  async function send(from: string, to: readonly string[], text: string = message): Promise<string> {
    const client = await SmtpClient.greeted(postern.smtpPort);
    expect(await client.command(`MAIL FROM:${from}`)).toMatch(/^250/);
    for (const each of to) expect(await client.command(`RCPT TO:${each}`)).toMatch(/^250/);
    expect(await client.command('DATA')).toMatch(/^354/);
    client.write(`${text}\r\n.\r\n`);
    const reply = await client.reply();
    client.destroy();
    return queueIdOf(reply);
  }

  /** Files in the Maildir that are addressed so. */
  function filesTo(address: string): string[] {
    const folder = join(postern.dataDir, 'maildir', 'new');
    let names: string[];
    try {
      names = readdirSync(folder);
    } catch {
      return []; // made with the first delivery
    }
    const files = names.map((name) => join(folder, name));
    return files.filter((file) => readFileSync(file, 'utf8').includes(`\nTo: <${address}>\n`));
  }

  async function reportTo(address: string): Promise<ReadReport> {
    await until(`a report to ${address}`, () => filesTo(address).length > 0);
    const [report] = await readReports(...filesTo(address));
    if (report === undefined) throw new Error('unreachable');
    return report;
  }

  async function queueIsEmpty(): Promise<void> {
    await until('the queue is empty', async () => (await postern.metric('postern_queue_messages')) === 0);
  }

  const counted = (kind: string, result: string): Promise<number> =>
    postern.metric('postern_relay_notifications_total', { kind, result });

  test('C-071, C-122, C-127: a recipient that the hop refuses is told of with what the sender asked for', async () => {
    const id = await send('<a1@senders.test> RET=FULL ENVID=QQ+2B314', [
      '<nobody@plain.test> NOTIFY=FAILURE,DELAY ORCPT=rfc822;No+2BBody@plain.test',
      '<joe@plain.test>',
    ]);
    const report = await reportTo('a1@senders.test');
    expect(report.header).toMatchObject({
      'Return-Path': '<>',
      From: 'Mail Delivery System <MAILER-DAEMON@mx.example.test>',
      'In-Reply-To': '<lunch@senders.test>',
      References: '<lunch@senders.test>',
      'Auto-Submitted': 'auto-replied',
      'MIME-Version': '1.0',
    });
    expect([report.type, report.reportType]).toEqual(['multipart/report', 'delivery-status']);
    expect(report.message).toMatchObject({
      'Reporting-MTA': 'dns; mx.example.test',
      'Original-Envelope-Id': 'QQ+314',
      'X-Postern-Queue-ID': id,
    });
    expect(report.recipients).toMatchObject([
      {
        'Original-Recipient': 'rfc822; No+Body@plain.test',
        'Final-Recipient': 'rfc822; nobody@plain.test',
        Action: 'failed',
        Status: '5.1.1',
        'Remote-MTA': 'dns; [127.0.0.1]',
        'Diagnostic-Code': 'smtp; 550 5.1.1 No such user here',
      },
    ]);
    expect(report.recipients.length).toBe(1);
    expect(report.partTypes[2]).toBe('message/rfc822');
    expect(report.original).toMatch(/^Received: from [^]*\nSubject: lunch\n[^]*\n\nAt noon\?\n$/);
    await queueIsEmpty();
    expect(plain.messages.flatMap(({ recipients }) => recipients).some((each) => each.includes('joe@plain.test'))).toBe(true); // prettier-ignore
  });

  test("C-127: smtp-sink's own words are in the report; without RET the header goes back", async () => {
    await send('<a2@senders.test>', ['<joe@refusing.test>', '<ann@refusing.test>']);
    const report = await reportTo('a2@senders.test');
    expect(report.recipients.map((each) => each['Final-Recipient'])).toEqual([
      'rfc822; joe@refusing.test',
      'rfc822; ann@refusing.test',
    ]);
    for (const each of report.recipients) {
      expect(each['Diagnostic-Code']).toMatch(/^smtp; 5\d\d 5\.\d\.\d /);
      expect(each['Status']).toBe(/ (5\.\d\.\d) /.exec(each['Diagnostic-Code'] ?? '')?.[1]);
    }
    expect(report.partTypes[2]).toBe('text/rfc822-headers');
    expect(report.original).not.toContain('At noon?');
    expect(filesTo('a2@senders.test').length).toBe(1);
  });

  test.each([
    [
      'C-092: 8-bit text and a hop without 8BITMIME',
      '<a3@senders.test> BODY=8BITMIME',
      'joe',
      message.replace('noon', 'zwölf'),
      '5.6.3',
    ],
    [
      'C-102: a UTF-8 address and a hop without SMTPUTF8',
      '<a4@senders.test> SMTPUTF8',
      '用户',
      message,
      '5.6.7',
    ],
    [
      'a message larger than the hop takes',
      '<a5@senders.test>',
      'joe',
      `${message}${'\r\nx'.repeat(10_000)}`,
      '5.3.4',
    ],
  ])('%s: our words and the right code', async (_what, from, to, text, status) => {
    // prettier-ignore
    await send(from, [`<${to}@plain.test>`], text);
    const { recipients, reportType } = await reportTo(from.slice(1, from.indexOf('>')));
    const international = to !== 'joe';
    const address = `${international ? 'utf-8' : 'rfc822'}; ${to}@plain.test`;
    expect(recipients).toMatchObject([{ 'Final-Recipient': address, Action: 'failed', Status: status }]);
    expect(recipients[0]?.['Diagnostic-Code']).toMatch(/^x-postern; /);
    expect(reportType).toBe(international ? 'global-delivery-status' : 'delivery-status');
  });

  test('C-125: success is told as delivered by our Maildir, as relayed through a hop without DSN', async () => {
    await send('<a6@senders.test>', [
      '<joe@without-dsn.test> NOTIFY=SUCCESS',
      '<ann@senders.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;ann@elsewhere.test',
      '<bob@senders.test>',
    ]);
    await until('two reports', () => filesTo('a6@senders.test').length === 2);
    const reports = await readReports(...filesTo('a6@senders.test'));
    const told = reports.flatMap(({ recipients }) => recipients).sort((a, b) => (a['Action'] ?? '') < (b['Action'] ?? '') ? -1 : 1); // prettier-ignore
    expect(told).toMatchObject([
      { 'Final-Recipient': 'rfc822; ann@senders.test', 'Original-Recipient': 'rfc822; ann@elsewhere.test', Action: 'delivered', Status: '2.0.0' }, // prettier-ignore
      {
        'Final-Recipient': 'rfc822; joe@without-dsn.test',
        Action: 'relayed',
        'Remote-MTA': 'dns; [127.0.0.1]',
      },
    ]);
    expect(told.length).toBe(2);
  });

  test('C-124: a hop that speaks DSN gets the parameters and tells himself', async () => {
    await send('<a7@senders.test> RET=HDRS ENVID=Q7', [
      '<joe@dsn.test> NOTIFY=SUCCESS ORCPT=rfc822;joe@dsn.test',
    ]);
    await queueIsEmpty();
    expect(speaksDsn.commands).toContainEqual(expect.stringContaining('ENVID=Q7'));
    expect(speaksDsn.commands).toContainEqual(
      expect.stringContaining('NOTIFY=SUCCESS ORCPT=rfc822;joe@dsn.test'),
    );
    expect(filesTo('a7@senders.test')).toEqual([]);
  });

  test('C-122: NOTIFY=NEVER is never told, and its message leaves the queue', async () => {
    const before = await counted('failure', 'unwanted');
    await send('<a8@senders.test>', ['<nobody@plain.test> NOTIFY=NEVER']);
    await until('it is counted', async () => (await counted('failure', 'unwanted')) === before + 1);
    await queueIsEmpty();
    expect(filesTo('a8@senders.test')).toEqual([]);
  });

  test('C-075: a notification that fails goes to the postmaster, and nothing more', async () => {
    await send('<nobody@plain.test>', ['<nobody@plain.test>']);
    const report = await reportTo('postmaster@senders.test');
    expect(report.recipients).toMatchObject([
      { 'Final-Recipient': 'rfc822; nobody@plain.test', Status: '5.1.1' },
    ]);
    expect(report.partTypes[2]).toBe('message/rfc822');
    // What came back is our own notification, which holds what the first message was.
    expect(report.original).toMatch(/Auto-Submitted: auto-replied[^]*Subject: lunch/);
    await queueIsEmpty();
    expect(filesTo('postmaster@senders.test').length).toBe(1);
    expect(await counted('postmaster', 'sent')).toBe(1);
  });

  test('C-072, C-126: mail from <> that fails is kept as failed, counted, and told nobody', async () => {
    const before = [await counted('failure', 'unwanted'), await counted('failure', 'sent')];
    const id = await send('<>', ['<nobody@plain.test>']);
    await until('it has failed', async () => (await postern.metric('postern_queue_messages', { state: 'failed' })) === 1); // prettier-ignore
    expect([await counted('failure', 'unwanted'), await counted('failure', 'sent')]).toEqual([(before[0] ?? 0) + 1, before[1]]); // prettier-ignore
    await until('it is logged', () => postern.log.some(({ event, of }) => event === 'notification.nobody' && of === id)); // prettier-ignore
  });
});
