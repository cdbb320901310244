/** The files that `auth.backend` names, secrets and authorities, and the package that it needs. */
import { resolve } from 'node:path';
import type { Parts } from './checks.js';
import type { Path } from './faults.js';
import { checkPackage } from './packages.js';
import { checkCa } from './route-files.js';
import { readSecretLine } from './secret-files.js';
import type { FaultList } from './validate.js';

/** @param base the folder that relative paths start at */
export function checkAuthBackendFiles(parts: Parts, base: string, list: FaultList): void {
  const backend = parts.auth?.backend;
  if (backend === undefined || backend === 'users') return;
  for (const kind of ['http', 'ldap'] as const) {
    const ca = backend[kind]?.ca;
    if (ca !== undefined) checkCa(['auth', 'backend', kind, 'ca'], resolve(base, ca), list);
  }
  if (backend.ldap !== undefined) checkPackage('ldapts', ['auth', 'backend', 'ldap'], 'a directory', list);
}

/** By the key that names the file: `token`, `secret`, `password`. */
export function readBackendSecrets(parts: Parts, base: string, list: FaultList): Map<string, string> {
  const secrets = new Map<string, string>();
  const backend = parts.auth?.backend;
  if (backend === undefined || backend === 'users') return secrets;
  const { http, ldap } = backend;
  const read = (key: 'token' | 'secret' | 'password', path: Path, file: string | undefined): void => {
    const secret = readSecretLine(path, file, base, key, list);
    if (secret !== undefined) secrets.set(key, secret);
  };
  const at: Path = ['auth', 'backend'];
  read('token', [...at, 'http', 'tokenFile'], http?.tokenFile);
  read('secret', [...at, 'http', 'secretFile'], http?.secretFile);
  read('password', [...at, 'ldap', 'search', 'passwordFile'], ldap?.search?.passwordFile);
  return secrets;
}
