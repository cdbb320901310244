/** The byte sequences that some servers have taken for the end of a message. attacks.md. */

const before = ['\r\n', '\n', '\r', '\r\r\n', '\r\n\0', '\n\r'] as const;
const after = ['\r\n', '\n', '\r', '\r\r\n', '\0\r\n', ' \r\n', '\t\r\n', '\n\r'] as const;

/** 48 less the canonical end. */
export const matrix: readonly { readonly pre: string; readonly post: string }[] = before
  .flatMap((pre) => after.map((post) => ({ pre, post })))
  .filter(({ pre, post }) => !(pre === '\r\n' && post === '\r\n'));

/** `. ` and `.TAB` behind a CRLF are lines that begin with a dot like others. */
export function isLegalLine(pre: string, post: string): boolean {
  return pre === '\r\n' && (post === ' \r\n' || post === '\t\r\n');
}

/** the vectors of known scanners. */
export const named: readonly string[] = [
  '\n.\n',
  '\r.\r',
  '\r.\n',
  '\n.\r',
  '\n.\r\n',
  '\r\n.\n',
  '\r.\r\n',
  '\r\n.\r',
  '\r\n\0.\r\n',
  '\r\n.\0\r\n',
  '\r\n.\r\r\n',
  '\r\r\n.\r\r\n',
];

export function show(bytes: string): string {
  return JSON.stringify(bytes);
}
