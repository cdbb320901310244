/**
 * Whole notifications against files in golden/, which are there to be read, and what must hold of each of them.
 * `npx vitest run -u` writes them anew.
 */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';

import type { QueuedMessage } from '../../../src/queue/spool.js';
import type { ReportedRecipient } from '../../../src/relay/notifications/delivery-status.js';
import { readOriginal } from '../../../src/relay/notifications/original-message.js';
import { composeReport, type Report, type ReportFacts } from '../../../src/relay/notifications/report.js';
import { diagnose } from '../../../src/relay/notifications/status-code.js';
import { defaultTemplate } from '../../../src/relay/notifications/template.js';
import { skipReason } from '../../support/peers.js';
import { readReports } from '../../support/read-report.js';
import { arrivedAtMs, hour, leaseOf, messageOf, originalText } from './fixtures.js';

function reported(
  changes: Partial<ReportedRecipient> & { readonly lastReply?: string } = {},
): ReportedRecipient {
  const { lastReply = '550 5.1.1 No such user', ...rest } = changes;
  const action = changes.action ?? 'failed';
  const { status, reply, expired } = diagnose(action, lastReply);
  return {
    address: 'joe@example.net',
    originalRecipient: undefined,
    remoteHost: 'mx.example.net',
    ...rest,
    action,
    status,
    diagnostic: reply,
    expired,
  };
}

interface Case extends Partial<Omit<ReportFacts, 'message' | 'original'>> {
  readonly message?: Partial<QueuedMessage>;
  readonly body?: string | Buffer;
  readonly whole?: boolean;
  readonly unreadable?: boolean;
}

async function compose({ message, body, whole, unreadable, ...changes }: Case): Promise<Report> {
  const original = unreadable === true ? undefined : await readOriginal(leaseOf({}, body), whole === true);
  return composeReport({
    kind: 'failure',
    queueId: '0D9REPORT0000001',
    nowMs: arrivedAtMs + hour,
    boundary: '=_0D9REPORT0000001.0123456789abcdef',
    hostname: 'mx.example.org',
    postmaster: 'postmaster@example.org',
    to: 'sender@example.org',
    message: messageOf(message),
    recipients: [reported()],
    retryUntilMs: undefined,
    original,
    template: defaultTemplate,
    ...changes,
  });
}

function goldenFile(name: string): string {
  return join(import.meta.dirname, 'golden', `${name.replaceAll(/[^a-zA-Z0-9]+/g, '-')}.eml`);
}

const utf8Header = originalText.replace('Subject: lunch', 'Subject: Mittag für 用户');

const cases: Readonly<Record<string, Case>> = {
  'a hop refused one recipient': {},
  'a hop refused two recipients, with all DSN parameters given': {
    message: { ret: 'HDRS', envelopeId: 'QQ+2B314159' },
    recipients: [
      reported({ originalRecipient: 'rfc822;Joe+2Bbox@example.net' }),
      reported({ address: 'ann@example.net', lastReply: '552 5.2.2 Mailbox full, and this reply goes on for so long that it has to be folded to fit the lines of a header' }), // prettier-ignore
    ],
  },
  'the whole message was asked for': { message: { ret: 'FULL' }, whole: true },
  'the whole message was asked for and has 8-bit text': {
    message: { ret: 'FULL', body: '8BITMIME' },
    body: originalText.replace('At noon?', 'Um zwölf?'),
    whole: true,
  },
  'an obstacle of ours': {
    recipients: [reported({ remoteHost: '', lastReply: '5.6.3 the next hop does not support 8BITMIME' })],
  },
  'it expired at a hop that always said later': {
    recipients: [reported({ lastReply: 'expired: 451 4.7.1 Come back later' })],
  },
  'it expired and no hop ever answered': {
    recipients: [reported({ remoteHost: '', lastReply: 'expired: connect ECONNREFUSED 192.0.2.1:25' })],
  },
  'the original is damaged': {
    unreadable: true,
    recipients: [reported({ remoteHost: '', lastReply: 'the stored message is damaged' })],
  },
  'a delay': {
    kind: 'delay',
    retryUntilMs: arrivedAtMs + 120 * hour,
    recipients: [
      reported({ action: 'delayed', lastReply: '451 4.7.1 Come back later', remoteHost: '2001:db8::1' }),
    ],
  },
  'success, delivered here': {
    kind: 'success',
    recipients: [
      reported({ action: 'delivered', remoteHost: '', lastReply: 'stored as 1763810289.M0Q0D9.mx' }),
    ],
  },
  'success, relayed': {
    kind: 'success',
    recipients: [
      reported({ action: 'relayed', remoteHost: '192.0.2.25', lastReply: '250 2.0.0 Ok: queued' }),
    ],
  },
  'SMTPUTF8, the header goes back': {
    message: { smtpUtf8: true, reversePath: 'absender@bücher.example' },
    to: 'absender@bücher.example',
    body: utf8Header,
    recipients: [
      reported({ address: '用户@example.net', originalRecipient: 'utf-8;\\x{7528}\\x{6237}@example.net' }),
    ],
  },
  'SMTPUTF8, the whole goes back to a sender in ASCII': {
    message: { smtpUtf8: true, ret: 'FULL' },
    body: utf8Header,
    whole: true,
    recipients: [reported({ address: '用户@example.net' })],
  },
  'SMTPUTF8 of which nothing was needed': { message: { smtpUtf8: true } },
  'a header with 8-bit text that nobody declared': { body: utf8Header },
  'to the postmaster': {
    kind: 'postmaster',
    to: 'postmaster@example.org',
    message: { reversePath: '', isNotification: true },
    body: originalText,
    whole: true,
    recipients: [reported({ address: 'forged@example.com' })],
  },
  'in words of the operator': {
    template: {
      ...defaultTemplate,
      failure: {
        subject: 'Unzustellbar: {queueId} für {sender}',
        text: 'Ihre Nachricht kam zurück:\n\n{recipients}\n\n{returned}',
      },
    },
  },
};

describe('C-127: a notification', () => {
  test.each(Object.entries(cases))('when %s', async (name, facts) => {
    const text = (await compose(facts)).bytes.toString();
    expect(text.replaceAll('\r\n', '')).not.toMatch(/[\r\n]/);
    await expect(text.replaceAll('\r\n', '\n')).toMatchFileSnapshot(goldenFile(name));
  });

  test.each(Object.entries(cases))(
    'has short lines of what its envelope declares, when %s',
    async (_name, facts) => {
      const { bytes, eightBit, smtpUtf8 } = await compose(facts);
      const text = bytes.toString();
      expect(text.split('\r\n').every((line) => Buffer.byteLength(line) <= 998)).toBe(true);
      expect(/^[\t\r\n -~]*$/.test(text)).toBe(!eightBit);
      const header = text.slice(0, text.indexOf('\r\n\r\n'));
      expect(/^[\t\r\n -~]*$/.test(header)).toBe(!smtpUtf8);
      expect(header.includes('\r\nContent-Transfer-Encoding: 8bit')).toBe(
        text.includes('Transfer-Encoding: 8bit'),
      );
    },
  );

  describe.skipIf(skipReason('python3'))('that a stranger reads', () => {
    test('has a type, an action, a status and a recipient each, whatever it says', async () => {
      const files = Object.keys(cases).map(goldenFile);
      const reports = await readReports(...files);
      expect(reports.map(({ type }) => type)).toEqual(files.map(() => 'multipart/report'));
      for (const { reportType, partTypes, message, recipients, original } of reports) {
        expect(partTypes[1]).toBe(`message/${reportType}`);
        expect(message['Reporting-MTA']).toBe('dns; mx.example.org');
        expect(recipients.length).toBeGreaterThan(0);
        for (const recipient of recipients) {
          expect(recipient['Final-Recipient']).toMatch(/^(rfc822; [!-~]+|utf-8; .+)@example\.(net|com)$/);
          expect(recipient['Action']).toMatch(/^(failed|delayed|delivered|relayed)$/);
          expect(recipient['Status']).toMatch(/^[245]\.\d\.\d+$/);
        }
        if (original !== null)
          expect(original).toMatch(/^Received: [^]*\nMessage-ID: <lunch\.1@example\.org>\n/);
      }
    });
  });

  test('names fifty recipients to people and all of them to machines', async () => {
    const recipients = Array.from({ length: 1000 }, (_, n) => reported({ address: `user${n}@example.net` }));
    const text = (await compose({ recipients })).bytes.toString();
    expect(text.match(/^ {2}<user\d+@example\.net>/gm)?.length).toBe(50);
    expect(text).toContain('\r\n  and 950 more\r\n');
    expect(text.match(/^Final-Recipient: rfc822; user\d+@example\.net\r$/gm)?.length).toBe(1000);
  });

  test('encodes a header whose lines are longer than a line may be', async () => {
    const text = (await compose({ body: `X-Long: ${'x'.repeat(2000)}\r\n\r\n` })).bytes.toString();
    expect(text).toContain(
      'Content-Type: text/rfc822-headers\r\nContent-Transfer-Encoding: quoted-printable\r\n',
    );
    expect(text.split('\r\n').every((line) => line.length <= 998)).toBe(true);
  });

  test('encodes a text whose lines are longer than a line may be', async () => {
    const template = {
      ...defaultTemplate,
      failure: { subject: 'x', text: `${'y'.repeat(1500)} {recipients}` },
    };
    const text = (await compose({ template })).bytes.toString();
    expect(text).toContain(
      'Content-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: quoted-printable\r\n',
    );
    expect(text.split('\r\n').every((line) => line.length <= 998)).toBe(true);
  });
});
