/**
 * What a hop said, made fit for a queue record, a log line and a terminal: one line, printable ASCII, bounded. The
 * hop is as little trusted as any client: escape sequences and megabytes in its texts end here (attack A-086).
 */

/** Characters of a reply that are kept: a full reply line of RFC 5321 §4.5.3.1.5 fits. */
const maxLastReplyChars = 512;

/** A reply of a next hop: its code, and the text of each line without code, separator and CRLF (latin1). */
export interface HopReply {
  readonly code: number;
  readonly lines: readonly string[];
}

export function printable(text: string): string {
  return text.slice(0, maxLastReplyChars).replaceAll(/[^ -~]/g, '?');
}

/** `550 5.1.1 No such user`; the lines of a longer reply are joined by spaces. */
export function describeReply(reply: HopReply): string {
  let text = String(reply.code);
  for (const line of reply.lines) {
    if (line !== '') text += ` ${line}`;
    if (text.length > maxLastReplyChars) break;
  }
  return printable(text);
}

/** The enhanced status code at the head of a reply's text (RFC 2034 §4), or ''. */
export function enhancedCodeOf(reply: HopReply): string {
  return /^[245]\.\d{1,3}\.\d{1,3}(?= |$)/.exec(reply.lines[0] ?? '')?.[0] ?? '';
}
