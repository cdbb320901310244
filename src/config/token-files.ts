/** The files that `auth.tokens` names. Looked at when the config is loaded. */
import { resolve } from 'node:path';
import type { Parts } from './checks.js';
import type { Path } from './faults.js';
import { readText } from './files.js';
import { isLoginText } from './formats.js';
import type { FaultList } from './validate.js';

// Some ten keys of 2 KiB with their certificates.
const maxKeySetBytes = 256 * 2 ** 10;
// As a password; with its line end.
const maxSecretFileBytes = 257;

/** Looks at the files of `auth.tokens`. @returns our secret towards the introspection endpoint */
export function readTokenFiles(parts: Parts, base: string, list: FaultList): string | undefined {
  const tokens = parts.auth?.tokens;
  if (tokens?.jwks?.file !== undefined)
    checkKeySet(['auth', 'tokens', 'jwks', 'file'], resolve(base, tokens.jwks.file), list);
  const file = tokens?.introspection?.clientSecretFile;
  if (file === undefined) return undefined;
  const path = ['auth', 'tokens', 'introspection', 'clientSecretFile'];
  const before = list.faults.length;
  const secret = readText(
    path,
    resolve(base, file),
    maxSecretFileBytes,
    'a secret on one line',
    list,
  ).replace(/\r?\n$/, '');
  if (!isLoginText(secret) && list.faults.length === before)
    list.add(path, 'found a file without a usable secret, expected one line of 1 to 255 octets without NUL');
  return secret;
}

function checkKeySet(path: Path, file: string, list: FaultList): void {
  const before = list.faults.length;
  const text = readText(path, file, maxKeySetBytes, 'a JWK set: { "keys": [ … ] }', list);
  if (list.faults.length === before && !isKeySet(text))
    list.add(path, 'found something else, expected a JWK set: { "keys": [ … ] } with a key or more');
}

function isKeySet(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return (
      typeof value === 'object' &&
      value !== null &&
      'keys' in value &&
      Array.isArray(value.keys) &&
      value.keys.length > 0
    );
  } catch {
    return false;
  }
}
