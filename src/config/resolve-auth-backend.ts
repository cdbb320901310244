/** `auth.backend` of a file that passed every check, as the program uses it. */
import { resolve } from 'node:path';
import type { AuthBackendConfig, LdapAuthConfig } from './auth-backend-config.js';
import type { FileAuthBackend, FileConfig } from './schema.js';

/** @param secrets from files, by key. @param base the folder that relative paths start at */
export function resolveAuthBackend(
  backend: FileConfig['auth']['backend'],
  secrets: ReadonlyMap<string, string>,
  base: string,
): AuthBackendConfig | undefined {
  if (backend === 'users') return undefined;
  const { dovecot, http, ldap } = backend;
  if (dovecot !== undefined) {
    const { socket, service, ...bounds } = dovecot;
    const target = 'path' in socket ? { path: resolve(base, socket.path) } : socket;
    return { kind: 'dovecot', target, service, ...resolveBounds(bounds) };
  }
  if (http !== undefined) {
    const { url, ca, token, tokenFile: _, secret, secretFile: __, ...bounds } = http;
    return {
      kind: 'http',
      url,
      ca: pathOf(ca, base),
      token: token ?? secrets.get('token'),
      secret: secret ?? secrets.get('secret'),
      ...resolveBounds(bounds),
    };
  }
  if (ldap === undefined) throw new TypeError('the checks let an empty backend through');
  const { url, startTls, ca, dn: _, search: __, ...bounds } = ldap;
  return {
    kind: 'ldap',
    ...url,
    startTls,
    ca: pathOf(ca, base),
    find: resolveFind(ldap, secrets),
    ...resolveBounds(bounds),
  };
}

function resolveBounds({
  timeout,
  ...counts
}: {
  timeout: number;
  concurrent: number;
  waiting: number;
  plaintext: boolean;
}): { timeoutMs: number; concurrent: number; waiting: number; plaintext: boolean } {
  return { timeoutMs: timeout, ...counts };
}

function resolveFind(
  { dn, search }: NonNullable<FileAuthBackend['ldap']>,
  secrets: ReadonlyMap<string, string>,
): LdapAuthConfig['find'] {
  if (dn !== undefined) return { dn };
  if (search === undefined)
    throw new TypeError('the checks let a directory without `dn` and `search` through');
  const { base, filter, bindDn } = search;
  const password = search.password ?? secrets.get('password');
  const account = bindDn === undefined || password === undefined ? undefined : { dn: bindDn, password };
  return { search: { base, filter, account } };
}

function pathOf(written: string | undefined, base: string): string | undefined {
  return written === undefined ? undefined : resolve(base, written);
}
