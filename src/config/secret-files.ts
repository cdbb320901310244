/** Files whose one line is a secret. */
import { resolve } from 'node:path';
import type { Path } from './faults.js';
import { readText } from './files.js';
import { isLoginText, isToken } from './formats.js';
import type { FaultList } from './validate.js';

// The longest secret is 256 characters; with a line end of two.
const maxSecretFileBytes = 258;

const forms = {
  token: { fits: isToken, form: '16 to 256 printable ASCII characters without spaces' },
  secret: { fits: isToken, form: '16 to 256 printable ASCII characters without spaces' },
  password: { fits: isLoginText, form: '1 to 255 octets without NUL' },
  'client secret': { fits: isLoginText, form: '1 to 255 octets without NUL' },
} as const;

/**
 * Without the line end that editors add, which is no part of it.
 * @param base the folder that relative paths start at
 * @returns undefined where no file is named, or there is a fault
 */
export function readSecretLine(
  path: Path,
  file: string | undefined,
  base: string,
  noun: keyof typeof forms,
  list: FaultList,
): string | undefined {
  if (file === undefined) return undefined;
  const { fits, form } = forms[noun];
  const before = list.faults.length;
  const text = readText(path, resolve(base, file), maxSecretFileBytes, `a ${noun} on one line`, list);
  if (list.faults.length > before) return undefined;
  const secret = text.replace(/\r?\n$/, '');
  if (fits(secret)) return secret;
  list.add(path, `found a file without a usable ${noun}, expected ${form} on one line`);
  return undefined;
}
