/**
 * Whole mail servers from Debian as next hops: Postfix, Exim and OpenSMTPD, each with a config of its own that takes
 * everything, rewrites nothing and stores it in one Maildir. Their packages exclude each other, so Exim and OpenSMTPD
 * are looked for where .ci/run unpacks them (`apt-get download`, `dpkg -x`). They want their own users and paths: they
 * get them in a mount namespace, which needs root.
 */
import { chmodSync, chownSync, cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'; // prettier-ignore
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { findPeer, started, type Peer } from './peers.js';
import { freePort } from './ports.js';
import { Program } from './program.js';

/** Where .ci/run unpacks packages that cannot be installed side by side. */
const unpacked = process.env['POSTERN_PEERS'] ?? '/opt/postern-peers';

/** A mail server that stores what it takes. */
export interface StoringPeer extends Peer {
  /** As the server stored them: trace fields on top, LF line ends. In any order. */
  messages(): Buffer[];
}

export type MtaName = 'postfix' | 'exim' | 'opensmtpd';

const programs: Readonly<Record<MtaName, string>> = {
  postfix: '/usr/lib/postfix/sbin/master',
  exim: join(unpacked, 'usr/sbin/exim4'),
  opensmtpd: join(unpacked, 'usr/sbin/smtpd'),
};

/** For `describe.skipIf`: undefined when the server can be started here. */
export function mtaSkipReason(name: MtaName): string | undefined {
  if (process.getuid?.() !== 0) return `${name} starts as root only`;
  if (findPeer('unshare') === undefined) return 'unshare not found: apt-get install util-linux';
  if (existsSync(programs[name])) return undefined;
  if (name === 'postfix') return 'postfix not found: apt-get install postfix';
  return `${programs[name]} not found: .ci/run unpacks Debian's package of ${name} there`;
}

const mailUser = { name: 'storer', id: 64_990 };
/** The users that the packages' install scripts would have made; ids that Debian gives to nobody. */
const users: readonly { readonly name: string; readonly id: number }[] = [
  mailUser,
  { name: 'Debian-exim', id: 64_991 },
  { name: 'opensmtpd', id: 64_992 },
  { name: 'opensmtpq', id: 64_993 },
];

export async function startMta(name: MtaName): Promise<StoringPeer> {
  const directory = mkdtempSync(join(tmpdir(), `postern-${name}-`));
  chmodSync(directory, 0o755);
  const mail = join(directory, 'mail');
  mkdirSync(mail);
  chownSync(mail, name === 'exim' ? 64_991 : mailUser.id, mailUser.id);
  const port = await freePort();
  const script = join(directory, 'start.sh');
  writeFileSync(script, `${namespace(directory)}\n${servers[name](directory, port)}\n`);
  const program = new Program('unshare', ['-m', '--propagation', 'private', 'sh', '-e', script]);
  const peer = await started(program, port, undefined);
  return {
    ...peer,
    messages: () => filesBelow(mail),
    stop: async () => {
      await program.stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** The users in files of their own, laid over the system's for this process and its children alone. */
function namespace(directory: string): string {
  const rows = users.map(({ name, id }) => `${name}:x:${id}:${id}::${directory}:/bin/false`);
  const groups = users.map(({ name, id }) => `${name}:x:${id}:`);
  writeFileSync(join(directory, 'passwd'), `${readFileSync('/etc/passwd', 'utf8')}${rows.join('\n')}\n`);
  writeFileSync(join(directory, 'group'), `${readFileSync('/etc/group', 'utf8')}${groups.join('\n')}\n`);
  return `mount --bind ${directory}/passwd /etc/passwd; mount --bind ${directory}/group /etc/group`;
}

const servers: Readonly<Record<MtaName, (directory: string, port: number) => string>> = {
  postfix: (directory, port) => {
    for (const folder of ['conf', 'spool', 'data']) mkdirSync(join(directory, folder));
    writeFileSync(join(directory, 'conf/main.cf'), postfixMain(directory));
    writeFileSync(join(directory, 'conf/master.cf'), postfixMaster(port));
    // As `postfix start` does it, but in the foreground; its daemons must not hold the test's pipes open.
    return [
      `chown postfix ${directory}/data`,
      `exec >${directory}/output 2>&1`,
      `postfix -c ${directory}/conf check`,
      `exec ${programs.postfix} -c ${directory}/conf -d`,
    ].join('\n');
  },
  exim: (directory, port) => {
    mkdirSync(join(directory, 'spool'));
    chownSync(join(directory, 'spool'), 64_991, 64_991);
    writeFileSync(join(directory, 'exim.conf'), eximConfig(directory, port));
    return `exec ${programs.exim} -C ${directory}/exim.conf -bdf`;
  },
  opensmtpd: (directory, port) => {
    writeFileSync(join(directory, 'smtpd.conf'), openSmtpdConfig(directory, port));
    cpSync(join(unpacked, 'usr/libexec/opensmtpd'), join(directory, 'libexec/opensmtpd'), {
      recursive: true,
    });
    // Its paths are compiled in.
    return [
      `mount --bind ${directory}/libexec /usr/libexec`,
      'for i in /var/lib /var/spool /run; do mount -t tmpfs tmpfs $i; done',
      'mkdir -p /var/lib/opensmtpd/empty /var/spool/smtpd/offline /var/spool/smtpd/purge; chmod 711 /var/spool/smtpd',
      'chown root:opensmtpq /var/spool/smtpd/offline; chmod 770 /var/spool/smtpd/offline',
      'chown opensmtpq:root /var/spool/smtpd/purge; chmod 700 /var/spool/smtpd/purge',
      `exec ${programs.opensmtpd} -d -f ${directory}/smtpd.conf`,
    ].join('\n');
  },
};

function postfixMain(directory: string): string {
  return `compatibility_level = 3.6
queue_directory = ${directory}/spool
data_directory = ${directory}/data
mail_owner = postfix
setgid_group = postdrop
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
maillog_file = ${directory}/log
maillog_file_prefixes = ${directory}
myhostname = postfix.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
alias_database =
virtual_mailbox_domains = example.test, bücher.test, xn--bcher-kva.test
virtual_mailbox_maps = static:stored/
virtual_mailbox_base = ${directory}/mail
virtual_uid_maps = static:${mailUser.id}
virtual_gid_maps = static:${mailUser.id}
virtual_mailbox_limit = 0
message_size_limit = 40000000
local_header_rewrite_clients =
smtpd_relay_restrictions = reject_unauth_destination
`;
}

function postfixMaster(port: number): string {
  return `127.0.0.1:${port} inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
`;
}

function eximConfig(directory: string, port: number): string {
  return `exim_path = ${programs.exim}
primary_hostname = exim.test
spool_directory = ${directory}/spool
log_file_path = ${directory}/spool/%slog
pid_file_path = ${directory}/spool/pid
message_size_limit = 40M
local_interfaces = <; 127.0.0.1.${port}
tls_advertise_hosts =
smtputf8_advertise_hosts = *
chunking_advertise_hosts = *
dsn_advertise_hosts = *
deliver_drop_privilege = true
keep_environment =
acl_smtp_rcpt = accept_all
acl_smtp_data = accept_all
begin acl
accept_all:
  accept
begin routers
everything:
  driver = accept
  transport = store
begin transports
store:
  driver = appendfile
  maildir_format
  directory = ${directory}/mail
  user = Debian-exim
  group = Debian-exim
  return_path_add
  envelope_to_add
`;
}

function openSmtpdConfig(directory: string, port: number): string {
  return `listen on 127.0.0.1 port ${port}
smtp max-message-size 40M
table everybody { "@" = "${mailUser.name}" }
action "store" maildir "${directory}/mail" virtual <everybody>
match from any for any action "store"
`;
}

/** Of all Maildirs below: what is in a folder named new. */
function filesBelow(directory: string): Buffer[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.parentPath.endsWith('/new'))
    .map((entry) => readFileSync(join(entry.parentPath, entry.name)));
}
