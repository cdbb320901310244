/**
 * What of the original message goes back with a notification, read from the queue with bounded memory: its header,
 * or the whole where that was asked for and is small. Owns the bounds; how it is packed is the report's.
 */
import type { Lease } from '../../queue/spool.js';

/** `RET=FULL` beyond this gets the header alone: most that bounces is spam to forged senders, who must not be hit with
 *  megabytes for one small SMTP transaction. */
export const maxReturnedBytes = 128 * 1024;
/** RFC 5322 §2.1.1, without the CRLF. */
const maxLineBytes = 998;

const CRLF_CRLF = Buffer.from('\r\n\r\n');

export interface OriginalMessage {
  /** 'header': to the end of its last field. 'whole': all of it, 7 or 8 bit in lines of at most 998 octets. */
  readonly extent: 'header' | 'whole';
  readonly bytes: Buffer;
  /** `<id@host>`; '' where there is none of that form. */
  readonly messageId: string;
}

/** @throws PosternError SPOOL_CORRUPT and what the queue throws else */
export async function readOriginal(lease: Lease, whole: boolean): Promise<OriginalMessage> {
  const wantsAll = whole && lease.message.bytes <= maxReturnedBytes;
  const bytes = await readUntil(lease, (read) => !wantsAll && read.includes(CRLF_CRLF));
  const header = headerOf(bytes);
  const messageId = messageIdOf(header);
  if (wantsAll && hasShortLines(bytes)) return { extent: 'whole', bytes, messageId };
  return { extent: 'header', bytes: header, messageId };
}

/** From the top, until it is enough; at most maxReturnedBytes. Read to its end the checksum is looked at. */
async function readUntil(lease: Lease, enough: (read: Buffer) => boolean): Promise<Buffer> {
  let read: Buffer = Buffer.alloc(0);
  for await (const chunk of lease.body()) {
    read = Buffer.concat([read, chunk.subarray(0, maxReturnedBytes - read.length)]);
    if (enough(read) || (read.length === maxReturnedBytes && lease.message.bytes > maxReturnedBytes)) break;
  }
  return read;
}

/** With the CRLF of its last field. Cut at a line end where it is longer than what was read. */
function headerOf(bytes: Buffer): Buffer {
  const end = bytes.indexOf(CRLF_CRLF);
  if (end >= 0) return bytes.subarray(0, end + 2);
  const lastLine = bytes.lastIndexOf('\r\n');
  return lastLine < 0 ? bytes : bytes.subarray(0, lastLine + 2);
}

/** Of a msg-id (RFC 5322 §3.6.4) what any mail program will take: printable ASCII, one `@`, no second bracket. */
function messageIdOf(header: Buffer): string {
  const found = /^message-id:[ \t]*(?:\r\n[ \t]+)?(<[!-;=?-~]{1,250}>)[ \t]*\r$/im.exec(
    header.toString('latin1'),
  );
  return found?.[1]?.includes('@') === true ? found[1] : '';
}

export function hasShortLines(bytes: Buffer): boolean {
  let start = 0;
  while (bytes.length - start > maxLineBytes) {
    const end = bytes.indexOf('\r\n', start);
    if (end < 0 || end - start > maxLineBytes) return false;
    start = end + 2;
  }
  return true;
}
