/** The files that `auth.backend` names, secrets and authorities, and the package that it needs. */
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import type { Parts } from './checks.js';
import type { Path } from './faults.js';
import { readText } from './files.js';
import { isLoginText, isToken } from './formats.js';
import { checkCa } from './route-files.js';
import type { FaultList } from './validate.js';

// A secret of 256 characters, with its line end.
const maxSecretFileBytes = 258;

/** @param base the folder that relative paths start at */
export function checkAuthBackendFiles(parts: Parts, base: string, list: FaultList): void {
  const backend = parts.auth?.backend;
  if (backend === undefined || backend === 'users') return;
  for (const kind of ['http', 'ldap'] as const) {
    const ca = backend[kind]?.ca;
    if (ca !== undefined) checkCa(['auth', 'backend', kind, 'ca'], resolve(base, ca), list);
  }
  if (backend.ldap !== undefined && !isInstalled('ldapts'))
    list.add(
      ['auth', 'backend', 'ldap'],
      'found a directory, expected the package ldapts beside Postern: `npm install ldapts` (with -g if Postern is installed so)',
      'key',
    );
}

function isInstalled(name: string): boolean {
  try {
    createRequire(import.meta.url).resolve(name);
    return true;
  } catch {
    return false;
  }
}

/** By the key that names the file: `token`, `secret`, `password`. */
export function readBackendSecrets(parts: Parts, base: string, list: FaultList): Map<string, string> {
  const secrets = new Map<string, string>();
  const backend = parts.auth?.backend;
  if (backend === undefined || backend === 'users') return secrets;
  const read = (key: string, path: Path, file: string | undefined, fits: (text: string) => boolean): void => {
    if (file === undefined) return;
    const before = list.faults.length;
    const text = readText(path, resolve(base, file), maxSecretFileBytes, 'a secret on one line', list);
    const secret = text.replace(/\r?\n$/, '');
    if (fits(secret)) secrets.set(key, secret);
    else if (list.faults.length === before)
      list.add(path, `found a file without a usable ${key}, expected it on one line`);
  };
  const at: Path = ['auth', 'backend'];
  read('token', [...at, 'http', 'tokenFile'], backend.http?.tokenFile, isToken);
  read('secret', [...at, 'http', 'secretFile'], backend.http?.secretFile, isToken);
  read(
    'password',
    [...at, 'ldap', 'search', 'passwordFile'],
    backend.ldap?.search?.passwordFile,
    isLoginText,
  );
  return secrets;
}
