/**
 * What a message is, said as plainly as possible: RFC 5321 §4.1.1.4 and §4.5.2 on the whole text at once, with
 * string functions instead of a machine of states. Slow and short, so that it can be seen to be right.
 */
export interface Reading {
  /** Bytes up to and with the end of data; -1: it has not come. */
  readonly end: number;
  readonly defect: 'bare-newline' | 'nul' | undefined;
  /** Unstuffed, as far as it is certain; only of a message without defect. */
  readonly body: string;
  readonly doubtfulEnd: boolean;
}

export function referenceRead(input: string): Reading {
  const text = `\r\n${input}`; // as if a line had just ended
  const at = text.indexOf('\r\n.\r\n');
  const ended = at >= 0;
  // A last line of `.` or `.CR` may yet become the end of data.
  const content = ended ? text.slice(0, at + 2) : text.replace(/(?<=\r\n)\.\r?$/, '');
  // A last CR may yet get its LF.
  const wrong = /\0|\r(?!\n)|(?<!\r)\n/.exec(ended ? content : content.replace(/\r$/, ''))?.[0];
  const defect = wrong === undefined ? undefined : wrong === '\0' ? 'nul' : 'bare-newline';
  return {
    end: ended ? at + 3 : -1,
    defect,
    body: defect === undefined ? content.replaceAll('\r\n.', '\r\n').slice(2) : '',
    doubtfulEnd: ended && defect !== undefined && text[at - 1] === '\r',
  };
}
