/**
 * The trace field that goes on top of every message, RFC 5321 §4.4. Pure: the date is given. What the client says of
 * itself is passed on only where it fits the grammar, so that it can neither add a clause nor end a comment.
 */
import { isDomain, isAddressLiteral } from './domain.js';

export interface TraceFacts {
  /** The argument of EHLO or HELO, as received. */
  readonly clientName: string;
  /** `192.0.2.1`, `2001:db8::1`. */
  readonly clientAddress: string;
  readonly hostname: string;
  /** EHLO, not HELO; LHLO is its own. */
  readonly protocol: 'smtp' | 'lmtp';
  readonly extended: boolean;
  readonly secure: boolean;
  readonly authenticated: boolean;
  readonly smtpUtf8: boolean;
  readonly queueId: string;
  /** The one recipient; undefined when there are several (RFC 5321 §7.2: would show blind copies). */
  readonly forPath: string | undefined;
  readonly date: Date;
}

/** Encoded, folded, with its CRLF. */
export function traceField(facts: TraceFacts): Buffer {
  const from = `from ${clientToken(facts.clientName)} (${addressLiteral(facts.clientAddress)})`;
  const by = `by ${facts.hostname} with ${transmissionType(facts)} id ${facts.queueId}`;
  const forClause = facts.forPath?.includes('@') === true ? `\r\n\tfor <${facts.forPath}>` : '';
  return Buffer.from(`Received: ${from}\r\n\t${by}${forClause};\r\n\t${formatDate(facts.date)}\r\n`, 'utf8');
}

/** RFC 5321 §4.4 Extended-Domain. `unknown` where the client's word is no name: A-081. */
function clientToken(clientName: string): string {
  // In UTF-8 what is not ASCII becomes octets from 0x80 up, which the domain parser would take for a U-label.
  const bytes = Buffer.from(clientName, 'utf8');
  if (bytes.length !== clientName.length) return 'unknown';
  const fits = isDomain(bytes, 0, bytes.length) || isAddressLiteral(bytes, 0, bytes.length);
  return fits ? clientName : 'unknown';
}

function addressLiteral(address: string): string {
  return address.includes(':') ? `[IPv6:${address}]` : `[${address}]`;
}

const transmissionTypes = { smtp: ['ESMTP', 'UTF8SMTP'], lmtp: ['LMTP', 'UTF8LMTP'] } as const;

/** RFC 3848 §1, RFC 6531 §4.3: the names of the registry "mail transmission types". */
function transmissionType(facts: TraceFacts): string {
  if (!facts.extended) return 'SMTP';
  return `${transmissionTypes[facts.protocol][facts.smtpUtf8 ? 1 : 0]}${facts.secure ? 'S' : ''}${facts.authenticated ? 'A' : ''}`;
}

const days = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'] as const;
const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'] as const;

/** RFC 5322 §3.3, in UTC: `Sat, 22 Nov 2025 11:18:09 +0000`. */
export function formatDate(date: Date): string {
  const day = `${days[date.getUTCDay()] ?? ''}, ${date.getUTCDate()} ${months[date.getUTCMonth()] ?? ''}`;
  const time = `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}:${two(date.getUTCSeconds())}`;
  return `${day} ${String(date.getUTCFullYear()).padStart(4, '0')} ${time} +0000`;
}

function two(value: number): string {
  return String(value).padStart(2, '0');
}
