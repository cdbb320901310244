/** Rules that look across the keys of `auth.backend`: one of them, passwords encrypted on their way, and the mechanisms. */
import { formatPath, type Path } from './faults.js';
import { hostOf, isThisHost } from './formats.js';
import type { FileAuthBackend, FileConfig } from './schema.js';
import type { FaultList } from './validate.js';

const path: Path = ['auth', 'backend'];

export function checkAuthBackend({ backend, users }: FileConfig['auth'], list: FaultList): void {
  if (backend === 'users') return;
  const named = Object.values(backend).filter((part) => part !== undefined);
  if (named.length !== 1) list.add(path, `found ${named.length} of dovecot, http and ldap, expected one`);
  if (users.file !== undefined)
    list.add(
      ['auth', 'users', 'file'],
      'found a users file beside `auth.backend`, expected one of the two: nobody would ask the file',
    );
  if (backend.dovecot !== undefined) checkDovecot(backend.dovecot, list);
  if (backend.http !== undefined) checkHttp(backend.http, list);
  if (backend.ldap !== undefined) checkLdap(backend.ldap, list);
}

function checkDovecot({ socket, plaintext }: NonNullable<FileAuthBackend['dovecot']>, list: FaultList): void {
  if ('host' in socket && !plaintext && !isThisHost(socket.host))
    list.expected(
      [...path, 'dovecot', 'socket'],
      'a path or a port of this machine, or `plaintext: true`: this protocol has no encryption',
    );
}

function checkHttp(http: NonNullable<FileAuthBackend['http']>, list: FaultList): void {
  const url = new URL(http.url);
  const isPlain = url.protocol === 'http:';
  if (isPlain && !http.plaintext && !isThisHost(hostOf(url)))
    list.expected([...path, 'http', 'url'], 'https, a host that is this machine, or `plaintext: true`');
  if (isPlain && http.ca !== undefined)
    list.add(
      [...path, 'http', 'ca'],
      'found authorities for http, expected none: there is no certificate',
      'key',
    );
  for (const key of ['token', 'secret'] as const)
    if (http[key] !== undefined && http[`${key}File`] !== undefined)
      list.add([...path, 'http', key], `found \`${key}\` and \`${key}File\`, expected one of them`, 'key');
}

function checkLdap(ldap: NonNullable<FileAuthBackend['ldap']>, list: FaultList): void {
  const place = [...path, 'ldap'];
  const { secure, host } = ldap.url;
  if (!secure && !ldap.startTls && !ldap.plaintext && !isThisHost(host))
    list.expected([...place, 'startTls'], 'true, ldaps://, or `plaintext: true`');
  if (ldap.ca !== undefined && !secure && !ldap.startTls)
    list.add([...place, 'ca'], 'found authorities without TLS, expected none', 'key');
  if ((ldap.dn === undefined) === (ldap.search === undefined))
    list.add(
      place,
      `found ${ldap.dn === undefined ? 'neither' : 'both'}, expected either \`dn\` or \`search\``,
    );
  if (ldap.search !== undefined) checkSearch(ldap.search, list);
}

function checkSearch(
  search: NonNullable<NonNullable<FileAuthBackend['ldap']>['search']>,
  list: FaultList,
): void {
  const place = [...path, 'ldap', 'search'];
  const { bindDn, password, passwordFile } = search;
  const given = [password, passwordFile].filter((value) => value !== undefined).length;
  if (bindDn === undefined && given > 0)
    list.add(place, `found a password without \`bindDn\` in ${formatPath(place)}, expected who it is of`);
  if (bindDn !== undefined && given !== 1)
    list.add(
      [...place, 'bindDn'],
      `found ${given === 0 ? 'neither' : 'both'}, expected either \`password\` or \`passwordFile\``,
    );
}
