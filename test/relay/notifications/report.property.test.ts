/** Hops, clients and imported envelopes may say what they like: what comes out parses, and has our fields alone. */
import fc from 'fast-check';
import { expect, test } from 'vitest';

import type { ReportedRecipient } from '../../../src/relay/notifications/delivery-status.js';
import { composeReport } from '../../../src/relay/notifications/report.js';
import { diagnose } from '../../../src/relay/notifications/status-code.js';
import { defaultTemplate } from '../../../src/relay/notifications/template.js';
import { arrivedAtMs, messageOf } from './fixtures.js';
import { one, parseReport } from './mime.js';

const headerNames = [
  'received', 'from', 'to', 'subject', 'date', 'message-id', 'auto-submitted', 'mime-version', 'content-type',
]; // prettier-ignore
const optionalHeaderNames = ['in-reply-to', 'references', 'content-transfer-encoding'];
const messageNames = ['original-envelope-id', 'reporting-mta', 'x-postern-queue-id', 'arrival-date'];
const recipientNames = [
  'original-recipient', 'final-recipient', 'action', 'status', 'remote-mta', 'diagnostic-code',
  'last-attempt-date', 'will-retry-until',
]; // prettier-ignore

const boundary = '=_0D9REPORT0000001.0123456789abcdef';
const hostile = fc
  .array(
    fc.oneof(
      fc.constantFrom('\r\n', '\n', '\r', '\r\n\r\n', '\r\n\t', 'X-Evil: 1', 'Action: delivered', '--', '=?utf-8?Q?', '\0', '\u2028', '<', '>', '"', ';', ' ', '    ', '{sender}', '{{', '+0D+0A', '\\x{A}', '.'), // prettier-ignore
      fc.string({ unit: 'grapheme', maxLength: 20 }),
      fc.string({ unit: 'binary', maxLength: 20 }),
      fc.constantFrom('x'.repeat(1200), 'ü'.repeat(700), 'a b '.repeat(300)),
    ),
    { maxLength: 8 },
  )
  .map((pieces) => pieces.join(''));

const recipient = fc
  .record({
    address: hostile,
    originalRecipient: fc.option(hostile, { nil: undefined }),
    remoteHost: fc.oneof(fc.constant(''), hostile),
    action: fc.constantFrom('failed', 'delayed', 'delivered', 'relayed'),
    lastReply: hostile,
  })
  .map(({ lastReply, ...rest }): ReportedRecipient => {
    const { status, reply, expired } = diagnose(rest.action, lastReply);
    return { ...rest, status, diagnostic: reply, expired };
  });

test('A-085: no reply, address, ORCPT or ENVID adds a field, a line or a part to a notification', () => {
  fc.assert(
    fc.property(
      fc.record({
        to: hostile,
        envelopeId: fc.option(hostile, { nil: undefined }),
        recipients: fc.array(recipient, { minLength: 1, maxLength: 3 }),
        smtpUtf8: fc.boolean(),
        original: fc.option(
          hostile.map((text) => ({
            extent: 'header' as const,
            bytes: Buffer.from(`Subject: ${text}`),
            messageId: '',
          })),
          { nil: undefined },
        ),
      }),
      ({ to, envelopeId, recipients, smtpUtf8, original }) => {
        const { bytes, eightBit } = composeReport({
          kind: 'failure',
          queueId: '0D9REPORT0000001',
          nowMs: arrivedAtMs,
          boundary,
          hostname: 'mx.example.org',
          postmaster: 'postmaster@example.org',
          to,
          message: messageOf({ reversePath: to, envelopeId, smtpUtf8 }),
          recipients,
          retryUntilMs: arrivedAtMs,
          original,
          template: defaultTemplate,
        });
        const { header, parts, groups } = parseReport(bytes);
        const names = header.fields.map(([name]) => name);
        expect(names.filter((name) => !optionalHeaderNames.includes(name))).toEqual(headerNames);
        expect(one(header.fields, 'from')).toBe('Mail Delivery System <MAILER-DAEMON@mx.example.org>');
        expect(parts.length).toBe(original === undefined ? 2 : 3);
        expect(groups.length).toBe(1 + recipients.length);
        const [message, ...each] = groups;
        expect(message?.every(([name]) => messageNames.includes(name))).toBe(true);
        for (const [index, group] of each.entries()) {
          expect(group.every(([name]) => recipientNames.includes(name))).toBe(true);
          expect(new Set(group.map(([name]) => name)).size).toBe(group.length);
          expect(one(group, 'action')).toBe(recipients[index]?.action);
          expect(one(group, 'status')).toMatch(/^[245]\.\d{1,3}\.\d{1,3}$/);
        }
        // The original's own line ends are its own.
        const ours = original === undefined ? bytes.toString() : bytes.toString().slice(0, bytes.toString().lastIndexOf(`\r\n--${boundary}\r\n`)); // prettier-ignore
        expect(ours.replaceAll('\r\n', '')).not.toMatch(/[\r\n\0]/);
        expect(ours.split('\r\n').every((line) => Buffer.byteLength(line) <= 998)).toBe(true);
        expect(eightBit || /^[\0-\x7f]*$/.test(bytes.toString())).toBe(true);
      },
    ),
    { numRuns: 500 },
  );
});
