/**
 * One notification as a message: multipart/report (RFC 6522) of a text for people, a delivery status for machines
 * (RFC 3464, 6533) and what goes back of the original. Pure: id, time and boundary are given. Every word in it may be
 * hostile but ours and the template's; header-fields keeps each in its field, the boundary is drawn after all of them
 * were there, so that none can hold it.
 *
 * UTF-8 forms are used where the transaction was SMTPUTF8 and something in the report is beyond ASCII: a report that
 * needs none can be read by every parser. They are body parts in 8bit; only a sender's address that is not ASCII, which
 * stands in To, makes the notification itself one for SMTPUTF8 (RFC 6531 §3.2), since his server may not take such.
 */
import { isAscii as isAsciiBytes } from 'node:buffer';

import { formatDate } from '../../protocol/received.js';
import type { QueuedMessage } from '../../queue/spool.js';

import { deliveryStatus, type ReportedRecipient } from './delivery-status.js';
import type { NotificationKind } from './duties.js';
import { encodeUnstructured, field, foldedField, isAscii } from './header-fields.js';
import { hasShortLines, type OriginalMessage } from './original-message.js';
import { encodeQuotedPrintable } from './quoted-printable.js';
import { reportText } from './report-text.js';
import type { Template } from './template.js';

export interface ReportFacts {
  readonly kind: NotificationKind;
  /** Its own. */
  readonly queueId: string;
  readonly nowMs: number;
  /** Not in any of the content: random. */
  readonly boundary: string;
  readonly hostname: string;
  /** Who helps: the config's, or postmaster@hostname. */
  readonly postmaster: string;
  /** Whom it goes to. */
  readonly to: string;
  readonly message: Pick<QueuedMessage, 'id' | 'reversePath' | 'arrivedAtMs' | 'envelopeId' | 'smtpUtf8'>;
  readonly recipients: readonly ReportedRecipient[];
  readonly retryUntilMs: number | undefined;
  /** Undefined: it cannot be read. */
  readonly original: OriginalMessage | undefined;
  readonly template: Template;
}

export interface Report {
  readonly bytes: Buffer;
  /** Has octets beyond ASCII: BODY=8BITMIME. */
  readonly eightBit: boolean;
  /** Its own header has: SMTPUTF8. */
  readonly smtpUtf8: boolean;
}

interface Part {
  readonly type: string;
  readonly description: string;
  readonly encoding: '7bit' | '8bit' | 'quoted-printable';
  readonly bytes: Buffer;
}

export function composeReport(facts: ReportFacts): Report {
  const international = isInternational(facts);
  const { subject, text } = reportText(facts.template[facts.kind], {
    ...facts,
    queueId: facts.message.id,
    sender: facts.message.reversePath,
    arrivedAtMs: facts.message.arrivedAtMs,
    returned: facts.original?.extent ?? 'nothing',
  });
  const parts = [textPart(text), statusPart(facts, international)];
  if (facts.original !== undefined) parts.push(originalPart(facts.original, international));
  const eightBit = parts.some(({ encoding }) => encoding === '8bit');
  const bytes = Buffer.concat([
    Buffer.from(header(facts, subject, international, eightBit)),
    ...parts.flatMap((part) => [Buffer.from(partHeader(part, facts.boundary)), part.bytes]),
    Buffer.from(`\r\n--${facts.boundary}--\r\n`),
  ]);
  return { bytes, eightBit: eightBit || !isAscii(facts.to), smtpUtf8: !isAscii(facts.to) };
}

function isInternational({ message, recipients, original, to }: ReportFacts): boolean {
  if (!message.smtpUtf8) return false;
  if (!isAscii(to) || recipients.some(({ address }) => !isAscii(address))) return true;
  if (recipients.some((each) => each.originalRecipient?.toLowerCase().startsWith('utf-8;') === true))
    return true;
  return original !== undefined && !isAsciiBytes(original.bytes);
}

function header(facts: ReportFacts, subject: string, international: boolean, eightBit: boolean): string {
  const { hostname, queueId, boundary, original } = facts;
  const date = formatDate(new Date(facts.nowMs));
  // RFC 6522 §3: the subtype of the second part.
  const reportType = international ? 'global-delivery-status' : 'delivery-status';
  const messageId = original?.messageId ?? '';
  return [
    `Received: by ${hostname} (Postern)\r\n\tid ${queueId};\r\n\t${date}\r\n`,
    // RFC 3464 §2: MAILER-DAEMON is what mail programs and parsers know a notification by.
    `From: Mail Delivery System <MAILER-DAEMON@${hostname}>\r\n`,
    field('To', `<${facts.to}>`),
    foldedField('Subject', encodeUnstructured(subject)),
    `Date: ${date}\r\n`,
    `Message-ID: <${queueId}@${hostname}>\r\n`,
    messageId === '' ? '' : field('In-Reply-To', messageId) + field('References', messageId),
    'Auto-Submitted: auto-replied\r\n', // RFC 3834 §5
    'MIME-Version: 1.0\r\n',
    `Content-Type: multipart/report; report-type=${reportType};\r\n\tboundary="${boundary}"\r\n`,
    eightBit ? 'Content-Transfer-Encoding: 8bit\r\n' : '',
    '\r\nThis is a delivery status notification in MIME format.\r\n',
  ].join('');
}

function partHeader({ type, description, encoding }: Part, boundary: string): string {
  return (
    `\r\n--${boundary}\r\nContent-Description: ${description}\r\nContent-Type: ${type}\r\n` +
    `${encoding === '7bit' ? '' : `Content-Transfer-Encoding: ${encoding}\r\n`}\r\n`
  );
}

function textPart(text: string): Part {
  const bytes = Buffer.from(text);
  const plain = isAscii(text) && hasShortLines(bytes);
  return {
    type: `text/plain; charset=${isAscii(text) ? 'us-ascii' : 'utf-8'}`,
    description: 'Notification',
    encoding: plain ? '7bit' : 'quoted-printable',
    bytes: plain ? bytes : Buffer.from(encodeQuotedPrintable(bytes)),
  };
}

function statusPart(facts: ReportFacts, international: boolean): Part {
  const { message } = facts;
  const status = deliveryStatus({
    hostname: facts.hostname,
    queueId: message.id,
    arrivedAtMs: message.arrivedAtMs,
    envelopeId: message.envelopeId,
    lastAttemptAtMs: facts.nowMs,
    retryUntilMs: facts.retryUntilMs,
    recipients: facts.recipients,
    international,
  });
  return {
    type: `message/${international ? 'global-' : ''}delivery-status`,
    description: 'Delivery status',
    encoding: isAscii(status) ? '7bit' : '8bit',
    bytes: Buffer.from(status),
  };
}

/** A header may be encoded (RFC 6522 §4); a message may not (RFC 2046 §5.2.1). */
function originalPart({ extent, bytes }: OriginalMessage, international: boolean): Part {
  const ascii = isAsciiBytes(bytes);
  const encoding = ascii ? '7bit' : '8bit';
  if (extent === 'whole') {
    const type = international && !ascii ? 'message/global' : 'message/rfc822';
    return { type, description: 'Undelivered message', encoding, bytes };
  }
  const description = 'Header of the message';
  const type = international && !ascii ? 'message/global-headers' : 'text/rfc822-headers';
  if (hasShortLines(bytes) && (ascii || international)) return { type, description, encoding, bytes };
  return {
    type,
    description,
    encoding: 'quoted-printable',
    bytes: Buffer.from(encodeQuotedPrintable(bytes)),
  };
}
