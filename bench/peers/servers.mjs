/**
 * The servers that are measured side by side, each with a config of its own that listens on loopback, keeps or drops what
 * it takes, and sends no mail anywhere but to the hop of the relay case. How each is set up stands in peers/README.md.
 */
import { spawn, spawnSync } from 'node:child_process';
import { chownSync, cpSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'; // prettier-ignore
import { connect } from 'node:net';
import { join } from 'node:path';

import { benchDirectory, builtMain, certificate, freePort, killTree, startServer, startSilentHop, until } from '../server.mjs'; // prettier-ignore

/**
 * @typedef {object} Running
 * @property {number} pid of the process whose descendants are the server
 * @property {number} port
 * @property {number | undefined} tlsPort TLS from the first byte
 * @property {string | undefined} adminUrl
 * @property {() => Promise<void>} stop
 *
 * @typedef {object} Setting
 * @property {number | undefined} hopPort where mail is relayed to; undefined: it is kept, or dropped
 * @property {string} [main] Postern's entry, of another build
 *
 * @typedef {object} Peer
 * @property {string} name
 * @property {string} what for people
 * @property {() => string | undefined} missing what has to be installed
 * @property {readonly import('./cases.mjs').Ability[]} can
 * @property {(setting: Setting) => Promise<Running>} start
 */

const here = import.meta.dirname;
const unpacked = process.env['POSTERN_PEERS'] ?? '/opt/postern-peers';
const cert = `${certificate}.crt`;
const key = `${certificate}.key`;
const harakaHome = join(here, 'haraka/node_modules/Haraka');
const haraka = join(harakaHome, 'bin/haraka');
const exim = join(unpacked, 'usr/sbin/exim4');
const openSmtpd = join(unpacked, 'usr/sbin/smtpd');
const postfixMaster = '/usr/lib/postfix/sbin/master';
const sinkConnections = 20_000;

/** Ids that Debian gives to nobody, of users that the packages would have made. */
const users = { 'Debian-exim': 64_991, opensmtpd: 64_992, opensmtpq: 64_993 };

/** @type {readonly Peer[]} */
export const peers = [
  {
    name: 'postern',
    what: 'Postern, two workers; fsync before 250',
    missing: () => undefined,
    can: ['mail', 'relay', 'tls', 'crowd'],
    start: startPostern,
  },
  {
    name: 'smtp-sink',
    what: "Postfix's smtp-sink, in C; stores nothing",
    missing: () => need('smtp-sink', '/usr/sbin/smtp-sink', 'apt-get install postfix'),
    can: ['mail', 'crowd'],
    start: () =>
      onPorts(({ port }) => ['smtp-sink', '-u', 'nobody', '-m', sinkConnections, `127.0.0.1:${port}`, 4096]),
  },
  ...floor('floor-null', 'bare Node, fixed replies; stores nothing', ({ port }) => ['floor-null.mjs', port]),
  ...floor('floor-lmdb-1', 'bare Node, an LMDB put before 250, one process', ({ port, directory }) => ['floor-lmdb.mjs', port, 1, directory]), // prettier-ignore
  ...floor('floor-lmdb-2', 'bare Node, an LMDB put before 250, two workers', ({ port, directory }) => ['floor-lmdb.mjs', port, 2, directory]), // prettier-ignore
  {
    name: 'floor-tls',
    what: 'bare node:tls server',
    missing: () => undefined,
    can: ['tls', 'crowd'],
    start: async () => {
      const running = await onPorts(({ port }) => [process.execPath, join(here, 'floor-tls.mjs'), port, cert, key], false); // prettier-ignore
      return { ...running, tlsPort: running.port };
    },
  },
  {
    name: 'smtp-server',
    what: 'smtp-server, one process; stores nothing',
    missing: () => undefined,
    can: ['mail', 'tls', 'crowd'],
    start: () =>
      onPorts(({ port, tlsPort }) => [process.execPath, join(here, 'smtp-server.mjs'), port, tlsPort, cert, key]), // prettier-ignore
  },
  {
    name: 'haraka',
    what: 'Haraka, two processes; stores nothing',
    missing: () => need('Haraka', haraka, 'npm ci --ignore-scripts --prefix bench/peers/haraka'),
    can: ['mail', 'relay', 'crowd'],
    start: startHaraka,
  },
  {
    name: 'postfix',
    what: 'Postfix, mail on hold',
    missing: () => need('Postfix', postfixMaster, 'apt-get install postfix'),
    can: ['mail', 'relay', 'tls'],
    start: ({ hopPort }) => inNamespace((place) => postfix(place, hopPort)),
  },
  {
    name: 'exim',
    what: 'Exim, queue only',
    missing: () => need('Exim', exim, 'unpack exim4-daemon-light and exim4-base there (.ci/run does)'),
    can: ['mail', 'relay'],
    start: ({ hopPort }) => inNamespace((place) => eximScript(place, hopPort)),
  },
  {
    name: 'opensmtpd',
    what: 'OpenSMTPD, hop does not answer; writes without fsync',
    missing: () => need('OpenSMTPD', openSmtpd, 'unpack opensmtpd there (.ci/run does)'),
    can: ['mail', 'relay'],
    start: startOpenSmtpd,
  },
];

/** @param {string} name @param {string} what @param {(place: Place) => (string | number)[]} script @returns {Peer[]} */
function floor(name, what, script) {
  const command = (/** @type {Place} */ place) => {
    const [file = '', ...args] = script(place);
    return [process.execPath, join(here, String(file)), ...args];
  };
  return [
    {
      name,
      what,
      missing: () => undefined,
      can: ['mail', 'crowd'],
      start: () => onPorts(command),
    },
  ];
}

/** @param {string} name @param {string} file @param {string} how @returns {string | undefined} */
function need(name, file, how) {
  return existsSync(file) ? undefined : `${name} is not installed (${file}): ${how}`;
}

/** @param {Setting} setting @returns {Promise<Running>} */
async function startPostern({ hopPort, main }) {
  const silent = hopPort === undefined ? await startSilentHop() : undefined;
  const server = await startServer(hopPort ?? silent?.port ?? 0, {}, main);
  const stop = async () => {
    await server.stop();
    await silent?.stop();
  };
  if (silent === undefined) return { ...server, stop };
  const args = [main ?? builtMain, 'queue', 'freeze', 'hop', '--config', server.configFile];
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  if (status === 0) return { ...server, stop };
  await stop();
  throw new Error(`the route cannot be frozen: ${stderr}`);
}

/** @param {Setting} setting @returns {Promise<Running>} */
function startHaraka({ hopPort }) {
  return onPorts(({ port, directory }) => {
    const config = join(directory, 'config');
    mkdirSync(config);
    cpSync(join(here, 'haraka/plugins'), join(directory, 'plugins'), { recursive: true });
    symlinkSync(join(here, 'haraka/node_modules'), join(directory, 'node_modules'));
    const queue = hopPort === undefined ? 'drop_all' : 'queue/smtp_forward';
    writeFileSync(join(config, 'plugins'), `accept_all\n${queue}\n`);
    writeFileSync(join(config, 'smtp.ini'), `listen=127.0.0.1:${port}\nnodes=2\n`);
    writeFileSync(join(config, 'smtp_forward.ini'), `host=127.0.0.1\nport=${hopPort ?? 9}\n`);
    // Without a copy of its own it fails at the first connection.
    cpSync(join(harakaHome, 'config/connection.ini'), join(config, 'connection.ini'));
    writeFileSync(join(config, 'loglevel'), 'WARN\n');
    writeFileSync(join(config, 'me'), 'haraka.example.test\n');
    return [process.execPath, haraka, '-c', directory];
  });
}

/** @param {Setting} setting @returns {Promise<Running>} */
async function startOpenSmtpd({ hopPort }) {
  const silent = hopPort === undefined ? await startSilentHop() : undefined;
  const running = await inNamespace((place) => openSmtpdScript(place, hopPort ?? silent?.port ?? 0));
  const stop = async () => {
    await running.stop();
    await silent?.stop();
  };
  return { ...running, stop };
}

// ---- processes ---------------------------------------------------------------------------------------------------

/** @typedef {{ directory: string, port: number, tlsPort: number }} Place */

/** @param {(place: Place) => (string | number)[]} command @param {boolean} [greets] without TLS @returns {Promise<Running>} */
async function onPorts(command, greets = true) {
  const directory = benchDirectory();
  const place = { directory, port: await freePort(), tlsPort: await freePort() };
  const [program = '', ...args] = command(place).map(String);
  const logFile = join(directory, 'log');
  const log = openSync(logFile, 'w');
  const child = spawn(program, args, { cwd: directory, stdio: ['ignore', log, log] });
  /** @type {Promise<void>} */
  const exited = new Promise((done) => child.once('exit', () => done()).once('error', () => done()));
  const stop = async () => {
    killTree(child.pid);
    await exited;
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    await until(`${program} ${args[0] ?? ''} answers`, async () => {
      if (child.exitCode !== null) throw new Error(`${program} ended:\n${readFileSync(logFile, 'utf8')}`);
      return answers(place.port, greets);
    });
  } catch (error) {
    await stop();
    throw error;
  }
  return { pid: child.pid ?? 0, port: place.port, tlsPort: place.tlsPort, adminUrl: undefined, stop };
}

/** @param {number} port @param {boolean} greets @returns {Promise<boolean>} */
export function answers(port, greets) {
  return new Promise((done) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('error', () => done(false));
    socket.once('close', () => done(false));
    socket.once(greets ? 'data' : 'connect', () => {
      if (greets) socket.write('QUIT\r\n');
      socket.end();
      done(true);
    });
  });
}

/** For servers that want users, paths and rights of their own: they get them in a mount namespace. @param {(place: Place) => string} script @returns {Promise<Running>} */
function inNamespace(script) {
  return onPorts((place) => {
    const { directory } = place;
    const rows = Object.entries(users);
    const passwd = rows.map(([name, id]) => `${name}:x:${id}:${id}::${directory}:/bin/false`);
    const group = rows.map(([name, id]) => `${name}:x:${id}:`);
    writeFileSync(join(directory, 'passwd'), `${readFileSync('/etc/passwd', 'utf8')}${passwd.join('\n')}\n`);
    writeFileSync(join(directory, 'group'), `${readFileSync('/etc/group', 'utf8')}${group.join('\n')}\n`);
    const file = join(directory, 'start.sh');
    const binds = ['passwd', 'group'].map((name) => `mount --bind ${directory}/${name} /etc/${name}`);
    writeFileSync(file, `chmod 755 ${directory}\n${binds.join('\n')}\n${script(place)}\n`);
    return ['unshare', '-m', '--propagation', 'private', 'sh', '-e', file];
  });
}

// ---- configs -----------------------------------------------------------------------------------------------------

/** @param {Place} place @param {number | undefined} hopPort */
function postfix({ directory, port, tlsPort }, hopPort) {
  for (const folder of ['conf', 'spool', 'data']) mkdirSync(join(directory, folder));
  const fate =
    hopPort === undefined
      ? 'smtpd_client_restrictions = check_client_access static:HOLD'
      : `relayhost = [127.0.0.1]:${hopPort}`;
  writeFileSync(
    join(directory, 'conf/main.cf'),
    `compatibility_level = 3.6
queue_directory = ${directory}/spool
data_directory = ${directory}/data
mail_owner = postfix
setgid_group = postdrop
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
maillog_file = ${directory}/maillog
maillog_file_prefixes = ${directory}
myhostname = postfix.example.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
relay_domains = example.test
message_size_limit = 40000000
smtpd_tls_cert_file = ${cert}
smtpd_tls_key_file = ${key}
smtpd_tls_security_level = may
smtpd_client_connection_count_limit = 0
${fate}
`,
  );
  writeFileSync(
    join(directory, 'conf/master.cf'),
    `127.0.0.1:${port} inet n - n - - smtpd
127.0.0.1:${tlsPort} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - n n - - proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
`,
  );
  return `chown postfix ${directory}/data
postfix -c ${directory}/conf check
exec ${postfixMaster} -c ${directory}/conf -d`;
}

/** @param {Place} place @param {number | undefined} hopPort */
function eximScript({ directory, port }, hopPort) {
  const spool = join(directory, 'spool');
  mkdirSync(spool);
  chownSync(spool, users['Debian-exim'], users['Debian-exim']);
  writeFileSync(
    join(directory, 'exim.conf'),
    `exim_path = ${exim}
primary_hostname = exim.example.test
spool_directory = ${spool}
log_file_path = ${spool}/%slog
pid_file_path = ${spool}/pid
local_interfaces = <; 127.0.0.1.${port}
tls_advertise_hosts =
keep_environment =
message_size_limit = 40M
smtp_accept_max = 200
smtp_accept_max_per_connection = 0
${hopPort === undefined ? 'queue_only = true' : 'queue_only = false'}
acl_smtp_rcpt = accept_all
begin acl
accept_all:
  accept
begin routers
hop:
  driver = manualroute
  route_list = * 127.0.0.1
  transport = hop
  self = send
begin transports
hop:
  driver = smtp
  port = ${hopPort ?? 9}
  allow_localhost
`,
  );
  return `exec ${exim} -C ${directory}/exim.conf -bdf`;
}

/** @param {Place} place @param {number} hopPort */
function openSmtpdScript({ directory, port }, hopPort) {
  writeFileSync(
    join(directory, 'smtpd.conf'),
    `listen on 127.0.0.1 port ${port}
smtp max-message-size 40M
action "relay" relay host smtp://127.0.0.1:${hopPort}
match from any for any action "relay"
`,
  );
  cpSync(join(unpacked, 'usr/libexec/opensmtpd'), join(directory, 'libexec/opensmtpd'), { recursive: true });
  mkdirSync(join(directory, 'spool'));
  // Its paths are compiled in; the spool stays on the disk that all are measured on.
  return `mount --bind ${directory}/libexec /usr/libexec
mount --bind ${directory}/spool /var/spool
for i in /var/lib /run; do mount -t tmpfs tmpfs $i; done
mkdir -p /var/lib/opensmtpd/empty /var/spool/smtpd/offline /var/spool/smtpd/purge
chmod 711 /var/spool /var/spool/smtpd
chown root:opensmtpq /var/spool/smtpd/offline; chmod 770 /var/spool/smtpd/offline
chown opensmtpq:root /var/spool/smtpd/purge; chmod 700 /var/spool/smtpd/purge
exec ${openSmtpd} -d -f ${directory}/smtpd.conf`;
}
