/** Reads a notification as a stranger would: knows MIME and RFC 3464, and nothing of how Postern writes them. */

export interface Entity {
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly body: string;
}

/** @throws Error for a line that is no field and continues none */
function parseFields(text: string): [string, string][] {
  const fields: [string, string][] = [];
  for (const line of text.split('\r\n')) {
    const last = fields.at(-1);
    const found = /^([!-9;-~]+):[ \t]?(.*)$/su.exec(line);
    if (/^[ \t]+\S/.test(line) && last !== undefined) last[1] += ` ${line.trim()}`;
    else if (found?.[1] !== undefined) fields.push([found[1].toLowerCase(), found[2] ?? '']);
    else if (line !== '') throw new Error(`no field: ${JSON.stringify(line)}`);
  }
  return fields;
}

function parseEntity(text: string): Entity {
  const end = text.startsWith('\r\n') ? 0 : text.indexOf('\r\n\r\n');
  if (end < 0) throw new Error('no end of the header');
  return { fields: parseFields(text.slice(0, end)), body: text.slice(end === 0 ? 2 : end + 4) };
}

/** @throws Error unless it is there once */
export function one(fields: Entity['fields'], name: string): string {
  const found = fields.filter(([each]) => each === name);
  if (found.length !== 1 || found[0] === undefined) throw new Error(`${found.length} × ${name}`);
  return found[0][1];
}

export interface ParsedReport {
  readonly header: Entity;
  readonly parts: readonly Entity[];
  /** Of the second part: that of the message, then one per recipient. */
  readonly groups: readonly Entity['fields'][];
}

export function parseReport(bytes: Buffer): ParsedReport {
  const header = parseEntity(bytes.toString());
  const boundary = /boundary="([^"]+)"/.exec(one(header.fields, 'content-type'))?.[1] ?? '';
  const pieces = header.body.split(`\r\n--${boundary}`);
  if (pieces.pop() !== '--\r\n') throw new Error('the last boundary is not at the end');
  const parts = pieces.slice(1).map((piece) => {
    if (!piece.startsWith('\r\n')) throw new Error('a boundary within a line');
    return parseEntity(piece.slice(2));
  });
  const groups = (parts[1]?.body ?? '').replace(/\r\n$/, '').split('\r\n\r\n').map(parseFields);
  return { header, parts, groups };
}
