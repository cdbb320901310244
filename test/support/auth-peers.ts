/** Debian's Dovecot and OpenLDAP as what log-ins are checked by, on free ports and sockets, with users of their own. */
import { chmodSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';

import { dovecotConfig } from './dovecot-config.js';
import { freePort, isListening } from './ports.js';
import { peerPath, started, type Peer } from './peers.js';
import { testCertificate } from './postern.js';
import { childrenOf } from './processes.js';
import { Program, run, signalQuietly } from './program.js';

/** Names with what is syntax in one place or another. */
export const directoryUsers = {
  alice: 'tiger',
  'bob@example.test': 'li\u00f6n *)(',
  'o,p+q="r" \\s': 'comma',
  josé: 'caf\u00e9',
} as const;

export interface DovecotAuth extends Peer {
  /** Its Unix socket for authentication clients; `port` is the same over TCP. */
  readonly socket: string;
  /** At once, and its files stay. */
  kill(): void;
}

/** @param users name → password. @param barred name → the extra fields of an entry with the password `barred` */
export async function startDovecotAuth(
  users: Readonly<Record<string, string>>,
  barred: Readonly<Record<string, string>> = {},
): Promise<DovecotAuth> {
  const port = await freePort();
  const directory = mkdtempSync(join(tmpdir(), 'postern-dovecot-auth-'));
  chmodSync(directory, 0o755);
  const lines = [
    ...Object.entries(users).map(([name, password]) => `${name}:{PLAIN}${password}`),
    ...Object.entries(barred).map(([name, fields]) => `${name}:{PLAIN}barred::::::${fields}`),
  ];
  writeFileSync(join(directory, 'users'), `${lines.join('\n')}\n`);
  writeFileSync(join(directory, 'dovecot.conf'), authConfig(directory, port));
  const program = new Program(peerPath('dovecot'), ['-F', '-c', join(directory, 'dovecot.conf')]);
  const peer = await started(program, port, directory);
  const kill = (): void => {
    // Told to stop, its auth service would wait half a minute for us to leave.
    for (const pid of [program.pid, ...childrenOf(program.pid)]) signalQuietly(pid, 'SIGKILL');
  };
  const stop = async (): Promise<void> => {
    kill();
    await peer.stop();
  };
  return { ...peer, stop, kill, socket: join(directory, 'auth-client') };
}

function authConfig(directory: string, port: number): string {
  const own = `
auth_mechanisms = plain
auth_failure_delay = 0
auth_username_format = %Lu
passdb {
  driver = passwd-file
  args = username_format=%u ${directory}/users
}
userdb {
  driver = static
  args = uid=1 gid=1 home=/nonexistent
}
service auth {
  chroot =
  unix_listener ${directory}/auth-client {
    mode = 0600
    user = ${userInfo().username}
  }
  inet_listener {
    address = 127.0.0.1
    port = ${port}
  }
}`;
  return dovecotConfig(directory, '', own);
}

export interface Slapd extends Peer {
  readonly tlsPort: number;
}

export const directoryAccount = { dn: 'cn=postern,dc=example,dc=test', password: 'searcher' };

/** slapd with `directoryUsers` below ou=people,dc=example,dc=test: uid and mail are the name. */
export async function startSlapd(): Promise<Slapd> {
  const port = await freePort();
  const tlsPort = await freePort();
  const directory = mkdtempSync(join(tmpdir(), 'postern-slapd-'));
  mkdirSync(join(directory, 'db'));
  const config = join(directory, 'slapd.conf');
  const entries = join(directory, 'entries.ldif');
  writeFileSync(config, slapdConfig(directory));
  writeFileSync(entries, slapdEntries());
  const added = await run(peerPath('slapadd'), ['-f', config, '-l', entries]);
  if (added.code !== 0) throw new Error(`slapadd: ${added.stdout}${added.stderr}`);
  const urls = `ldap://127.0.0.1:${port}/ ldaps://127.0.0.1:${tlsPort}/`;
  // -d, even with 0: it stays in the foreground.
  const program = new Program(peerPath('slapd'), ['-f', config, '-h', urls, '-d', '0']);
  return { ...(await started(program, port, directory, isListening)), tlsPort };
}

function slapdConfig(directory: string): string {
  return `
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
pidfile ${directory}/slapd.pid
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCertificateFile ${testCertificate.certificate}
TLSCertificateKeyFile ${testCertificate.key}
database mdb
suffix dc=example,dc=test
directory ${directory}/db
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="${directoryAccount.dn}" read by * none
`;
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

function slapdEntries(): string {
  const people = Object.entries(directoryUsers).map(([name, password], index) =>
    [
      `dn: cn=person${index},ou=people,dc=example,dc=test`,
      'objectClass: inetOrgPerson',
      `cn: person${index}`,
      'sn: x',
      `uid:: ${base64(name)}`,
      `userPassword:: ${base64(password)}`,
    ].join('\n'),
  );
  // One whose DN has the name itself, with what RFC 4514 escapes.
  const named = Object.entries(directoryUsers).map(([name, password]) =>
    [
      `dn:: ${base64(`cn=${name.replaceAll(/[,+="\\]/g, '\\$&')},ou=named,dc=example,dc=test`)}`,
      'objectClass: inetOrgPerson',
      'sn: x',
      `userPassword:: ${base64(password)}`,
    ].join('\n'),
  );
  const twins = [1, 2].map(
    (number) =>
      `dn: cn=twin${number},ou=people,dc=example,dc=test\nobjectClass: inetOrgPerson\nsn: x\nuid: twin\nuserPassword: twin`,
  );
  return [
    'dn: dc=example,dc=test\nobjectClass: domain\ndc: example',
    'dn: ou=people,dc=example,dc=test\nobjectClass: organizationalUnit\nou: people',
    'dn: ou=named,dc=example,dc=test\nobjectClass: organizationalUnit\nou: named',
    `dn: ${directoryAccount.dn}\nobjectClass: person\nsn: x\nuserPassword: ${directoryAccount.password}`,
    ...people,
    ...named,
    ...twins,
    '',
  ].join('\n\n');
}
