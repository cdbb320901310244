/**
 * The lines of Dovecot's authentication protocol, version 1: fields between TABs, a line ends with LF, and what of TAB,
 * LF, CR, NUL and \x01 is in a field is escaped with \x01. Pure.
 */

/** Dovecot's own bound on a line of this protocol is 8 KiB; twice that is no answer to a question of ours. */
export const maxLineBytes = 16 * 1024;

const escapes: ReadonlyMap<string, string> = new Map([
  ['\0', '\x010'],
  ['\x01', '\x011'],
  ['\t', '\x01t'],
  ['\r', '\x01r'],
  ['\n', '\x01n'],
]);
const escaped: ReadonlyMap<string, string> = new Map(Array.from(escapes, ([plain, code]) => [code, plain]));

export function escapeField(text: string): string {
  // oxlint-disable-next-line no-control-regex -- these are exactly what must not end a field
  return text.replaceAll(/[\0\x01\t\r\n]/g, (character) => escapes.get(character) ?? '');
}

export function unescapeField(text: string): string {
  // oxlint-disable-next-line no-control-regex -- what escapeField writes
  return text.replaceAll(/\x01[01trn]/g, (code) => escaped.get(code) ?? '');
}

/** Cuts what arrives into lines; keeps at most one unfinished line. */
export class DovecotLines {
  #rest = '';

  /** @returns the lines without their LF; undefined when one is longer than any line may be */
  push(chunk: Buffer): readonly string[] | undefined {
    // A chunk is at most 64 KiB. latin1: a field may be cut within a character; whoever needs one decodes it whole.
    const lines = (this.#rest + chunk.toString('latin1')).split('\n');
    this.#rest = lines.pop() ?? '';
    return lines.some(isTooLong) || isTooLong(this.#rest) ? undefined : lines;
  }
}

function isTooLong(line: string): boolean {
  return line.length > maxLineBytes;
}

/** What the server says to a request. */
export type DovecotReply =
  | { readonly kind: 'ok'; readonly id: number; readonly user: string | undefined }
  /** `temporary`: no judgement on the password. `reason`: what it would have the user told; for the log. */
  | { readonly kind: 'fail'; readonly id: number; readonly temporary: boolean; readonly reason: string }
  | { readonly kind: 'continue'; readonly id: number };

/** Undefined: it is no such line. */
export function parseReply(line: string): DovecotReply | undefined {
  const [word = '', idText = '', ...parameters] = line.split('\t');
  const id = /^\d{1,10}$/.test(idText) ? Number(idText) : 0;
  if (id === 0) return undefined;
  switch (word) {
    case 'OK':
      return toOk(id, parameters);
    case 'CONT':
      return { kind: 'continue', id };
    case 'FAIL':
      return {
        kind: 'fail',
        id,
        temporary: parameters.includes('temp') || parameter(parameters, 'code') === 'temp_fail',
        reason: parameter(parameters, 'reason') ?? parameter(parameters, 'code') ?? '',
      };
    default:
      return undefined;
  }
}

/**
 * Extra fields of a passdb by which an OK is none for us: he may not log in, his entry or his password is no longer good,
 * or another server has to be asked, whose user he is and who may not have shown his password at all. Dovecot leaves it
 * to who asked to see to that, and has them in the answer for no other reason: `nologin` in our request does not bring it.
 */
const barring = ['nologin', 'user_disabled', 'pass_expired', 'proxy'] as const;

function toOk(id: number, parameters: readonly string[]): DovecotReply {
  const bar = barring.find((name) =>
    parameters.some((field) => field === name || field.startsWith(`${name}=`)),
  );
  if (bar === undefined) return { kind: 'ok', id, user: parameter(parameters, 'user') };
  return { kind: 'fail', id, temporary: false, reason: parameter(parameters, 'reason') ?? bar };
}

function parameter(parameters: readonly string[], name: string): string | undefined {
  const found = parameters.find((field) => field.startsWith(`${name}=`));
  if (found === undefined) return undefined;
  return Buffer.from(unescapeField(found.slice(name.length + 1)), 'latin1').toString('utf8');
}
