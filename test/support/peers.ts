/**
 * Debian's programs that the end-to-end tests talk to: where they are, and the ones that must run as a service, started
 * on free ports with files of their own and stopped by pid. .ci/run installs them all and lets no test skip.
 */
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createSocket } from 'node:dgram';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';

import { dovecotConfig } from './dovecot-config.js';
import { freePort, isListening } from './ports.js';
import { until } from './processes.js';
import { Program } from './program.js';

/** The program and Debian's package of it. */
const packages = {
  swaks: 'swaks',
  'smtp-source': 'postfix',
  'smtp-sink': 'postfix',
  dovecot: 'dovecot-lmtpd',
  slapd: 'slapd',
  slapadd: 'slapd',
  rbldnsd: 'rbldnsd',
  haproxy: 'haproxy',
  prometheus: 'prometheus',
  promtool: 'prometheus',
  gsasl: 'gsasl',
  strace: 'strace',
  'systemd-analyze': 'systemd',
  unshare: 'util-linux',
  openssl: 'openssl',
  sslscan: 'sslscan',
  python3: 'python3',
} as const;
export type PeerName = keyof typeof packages;

/** Full path, or undefined. Debian keeps some of them out of an ordinary user's PATH. */
export function findPeer(name: PeerName): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/sbin'];
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

/** @throws Error that says which package to install */
export function peerPath(name: PeerName): string {
  const path = findPeer(name);
  if (path === undefined) throw new Error(skipReason(name));
  return path;
}

/** For `describe.skipIf(skipReason('swaks', 'openssl'))`: undefined when all are there. */
export function skipReason(...names: PeerName[]): string | undefined {
  const missing = names.filter((name) => findPeer(name) === undefined);
  if (missing.length === 0) return undefined;
  const wanted = [...new Set(missing.map((name) => packages[name]))].join(' ');
  return `${missing.join(', ')} not found: apt-get install ${wanted}`;
}

export interface Peer {
  readonly port: number;
  readonly program: Program;
  /** Stops it and removes its files. */
  stop(): Promise<void>;
}

function temporaryDirectory(name: string): string {
  return mkdtempSync(join(tmpdir(), `postern-${name}-`));
}

/** Asks for the root's NS: any answer, REFUSED too, shows that somebody listens. */
function answersDns(port: number): Promise<boolean> {
  const query = Buffer.from('0001000000010000000000000000020001', 'hex');
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    const done = (answered: boolean): void => {
      clearTimeout(timer);
      socket.close();
      resolve(answered);
    };
    const timer = setTimeout(() => done(false), 200);
    socket.once('message', () => done(true));
    socket.once('error', () => done(false));
    socket.connect(port, '127.0.0.1', () => socket.send(query));
  });
}

export async function started(
  program: Program,
  port: number,
  directory: string | undefined,
  isReady: (port: number) => Promise<boolean> = isListening,
): Promise<Peer> {
  const stop = async (): Promise<void> => {
    await program.stop();
    if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
  };
  try {
    await until(`${program.child.spawnfile} listens on ${port}`, () => {
      if (!program.isRunning) throw new Error(`${program.child.spawnfile} ended: ${program.output}`);
      return isReady(port);
    });
  } catch (error) {
    await stop();
    throw error;
  }
  return { port, program, stop };
}

/** Postfix's smtp-sink. It counts with `-c` on stdout and stores with `-d`; see smtp-sink(1). */
export async function startSmtpSink(args: readonly string[] = []): Promise<Peer> {
  const port = await freePort();
  // As root it would want an unprivileged user; -u names the one we are.
  const program = new Program(peerPath('smtp-sink'), [
    '-u',
    userInfo().username,
    ...args,
    `127.0.0.1:${port}`,
    '1000',
  ]);
  return started(program, port, undefined);
}

const isRoot = process.getuid?.() === 0;
/** Dovecot and rbldnsd refuse to work as root: then they work as Debian's nobody (65534). */
const nobody = { name: 'nobody', id: 65_534 };

export interface DovecotLmtp extends Peer {
  /** The messages of a user (`joe` of joe@anything), in any order, as Dovecot stored them (LF line ends). */
  messages(user: string): Buffer[];
}

/** Dovecot with its LMTP service alone; takes mail for every user into a Maildir. */
export async function startDovecotLmtp(): Promise<DovecotLmtp> {
  const port = await freePort();
  const directory = temporaryDirectory('dovecot');
  const mail = join(directory, 'mail');
  mkdirSync(mail);
  chmodSync(directory, 0o755);
  if (isRoot) chownSync(mail, nobody.id, nobody.id);
  const configFile = join(directory, 'dovecot.conf');
  writeFileSync(configFile, lmtpConfig(directory, port));
  const program = new Program(peerPath('dovecot'), ['-F', '-c', configFile]);
  const peer = await started(program, port, directory);
  return { ...peer, messages: (user) => filesIn(join(mail, user, 'new')) };
}

function lmtpConfig(directory: string, port: number): string {
  const uid = isRoot ? nobody.id : userInfo().uid;
  const gid = isRoot ? nobody.id : userInfo().gid;
  const own = `
first_valid_uid = 1
first_valid_gid = 1
mail_location = maildir:${directory}/mail/%n
userdb {
  driver = static
  args = uid=${uid} gid=${gid} home=${directory}/mail/%n allow_all_users=yes
}
passdb {
  driver = static
  args = nopassword=y
}
service lmtp {
  chroot =
  inet_listener lmtp {
    address = 127.0.0.1
    port = ${port}
  }
}`;
  return dovecotConfig(directory, 'lmtp', own);
}

function filesIn(directory: string): Buffer[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory).map((name) => readFileSync(join(directory, name)));
}

export interface Rbldnsd extends Peer {
  /** The list's zone; ask 127.0.0.1:`port` for it. */
  readonly zone: string;
}

/** rbldnsd with one IPv4 list. @param entries lines of an ip4set: `127.0.0.9 :127.0.0.2:why` */
export async function startRbldnsd(zone: string, entries: readonly string[]): Promise<Rbldnsd> {
  const port = await freePort();
  const directory = temporaryDirectory('rbldnsd');
  chmodSync(directory, 0o755);
  writeFileSync(join(directory, 'zone'), `${entries.join('\n')}\n`);
  const user = isRoot ? ['-u', nobody.name] : [];
  const args = ['-n', '-b', `127.0.0.1/${port}`, '-w', directory, ...user, `${zone}:ip4set:zone`];
  const program = new Program(peerPath('rbldnsd'), args);
  const peer = await started(program, port, directory, answersDns);
  return { ...peer, zone };
}

/** HAProxy. @param port of one of the frontends in `config`, which tells that it is there */
export async function startHaproxy(config: string, port: number): Promise<Peer> {
  const directory = temporaryDirectory('haproxy');
  const file = join(directory, 'haproxy.cfg');
  writeFileSync(file, config);
  const program = new Program(peerPath('haproxy'), ['-db', '-f', file]);
  return started(program, port, directory);
}
