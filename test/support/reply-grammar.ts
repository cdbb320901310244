/** A strict reader of replies, RFC 5321 §4.2 and §4.5.3.1.5: what is wrong with the bytes of one reply, if anything. */

const maxReplyLineBytes = 512;
const line = /^([2-5][0-5][0-9])([ -])([\x20-\x7e]*)$/;

export function replyFault(bytes: Buffer): string | undefined {
  const text = bytes.toString('latin1');
  if (!text.endsWith('\r\n')) return 'it does not end in CR LF';
  const lines = text.slice(0, -2).split('\r\n');
  const code = lines[0]?.slice(0, 3);
  for (const [at, content] of lines.entries()) {
    const match = line.exec(content);
    if (match === null) return `not a reply line: ${JSON.stringify(content)}`;
    if (content.length + 2 > maxReplyLineBytes) return 'a line is too long';
    if (match[1] !== code) return 'its code changes';
    if ((match[2] === ' ') !== (at === lines.length - 1))
      return 'a hyphen where a space belongs, or the other way round';
  }
  return undefined;
}
