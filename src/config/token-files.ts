/** The files that `auth.tokens` names. Looked at when the config is loaded. */
import { resolve } from 'node:path';
import type { Parts } from './checks.js';
import type { Path } from './faults.js';
import { readText } from './files.js';
import { checkPackage } from './packages.js';
import { readSecretLine } from './secret-files.js';
import type { FaultList } from './validate.js';

// Some ten keys of 2 KiB with their certificates.
const maxKeySetBytes = 256 * 2 ** 10;

/** Looks at the files of `auth.tokens`. @returns our secret towards the introspection endpoint */
export function readTokenFiles(parts: Parts, base: string, list: FaultList): string | undefined {
  const tokens = parts.auth?.tokens;
  if (tokens?.jwks?.file !== undefined)
    checkKeySet(['auth', 'tokens', 'jwks', 'file'], resolve(base, tokens.jwks.file), list);
  if (tokens?.jwks !== undefined)
    checkPackage('jose', ['auth', 'tokens', 'jwks'], 'tokens that keys check', list);
  const path = ['auth', 'tokens', 'introspection', 'clientSecretFile'];
  return readSecretLine(path, tokens?.introspection?.clientSecretFile, base, 'client secret', list);
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
