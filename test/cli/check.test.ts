/** `check` finds what `start` would refuse: faults of the users file, of the data directory, of addresses. */
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, chownSync, mkdirSync, readFileSync, statfsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { folderFault, warnings } from '../../src/cli/machine.js';
import { loadConfig } from '../../src/config/load.js';
import { posternMain, testCertificate } from '../support/postern.js';
import { configText, postern, temporaryFolder } from './harness.js';

const isRoot = process.getuid?.() === 0;
// Linux' and Debian's `nobody`: any user that is not root will do.
const otherUser = 65_534;

function writeConfig(folder: string, changes: object): string {
  const file = join(folder, 'a.yaml');
  const config: object = JSON.parse(configText(0, join(folder, 'data')));
  writeFileSync(file, JSON.stringify({ ...config, ...changes }));
  return file;
}

/** A config whose users file has a fault in its second line. */
function withBrokenUsers(): { file: string; users: string } {
  const folder = temporaryFolder();
  const users = join(folder, 'users.yaml');
  writeFileSync(users, 'users:\n  bob: secret\n');
  return { file: writeConfig(folder, { auth: { users: { file: users } } }), users };
}

describe('a broken users file', () => {
  test.each(['check', 'start'])('%s tells its faults with their lines and exits 2', async (command) => {
    const { file, users } = withBrokenUsers();
    const { code, stdout, stderr } = await postern([command, '-c', file]);
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toContain(`${users}:2: bob: expected scrypt`);
    expect(stderr).toContain('the config has 1 fault');
  });
});

describe('a broken template of notifications', () => {
  test.each(['check', 'start'])('%s tells its fault with its line and exits 2', async (command) => {
    const folder = temporaryFolder();
    const template = join(folder, 'words.txt');
    writeFileSync(template, '[failure]\nSubject: Sorry\n\nDear {name}\n');
    const { code, stderr } = await postern([
      command,
      '-c',
      writeConfig(folder, { notifications: { template } }),
    ]);
    expect(code).toBe(2);
    expect(stderr).toContain(`${template}:4: {name}; expected one of {hostname}, `);
    expect(stderr).toContain('the config has 1 fault');
  });

  test('that cannot be read is one fault of the config', async () => {
    const folder = temporaryFolder();
    const { code, stderr } = await postern([
      'check',
      '-c',
      writeConfig(folder, { notifications: { template: 'x' } }),
    ]);
    expect(code).toBe(2);
    expect(stderr).toContain('notifications.template');
    expect(stderr).toContain('the config has 1 fault');
  });
});

describe('a maildir', () => {
  test.runIf(process.platform === 'linux')('that nobody can make is a fault, for root too', async () => {
    const routes = { disk: { to: 'maildir:/proc/md' } };
    const { code, stderr } = await postern(['check', '-c', writeConfig(temporaryFolder(), { routes })]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/routes\.disk\.to: found \/proc\/md, but nobody can make files in \/proc, /);
  });

  test('below a file is a fault; below a data directory that has one, it is not told twice', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'plain'), '');
    const routes = { disk: { to: `maildir:${folder}/plain/mail` } };
    const one = await postern(['check', '-c', writeConfig(folder, { routes })]);
    expect(one.stderr).toContain(
      `routes.disk.to: found ${folder}/plain/mail, but ${folder}/plain is no folder`,
    );
    const other = await postern(['check', '-c', writeConfig(folder, { dataDir: join(folder, 'plain') })]);
    expect(other.stderr).toContain('the config has 1 fault;');
  });
});

test('the summary names no domain that takes no mail, and counts one worker as one', async () => {
  const domains = [
    { names: ['example.test'], route: 'disk' },
    { names: ['silent.test'], recipients: 'none' },
  ];
  const file = writeConfig(temporaryFolder(), { domains, workers: 1 });
  const { stdout } = await postern(['check', '-c', file]);
  expect(stdout).toMatch(/accepts mail for: example\.test$/m);
  expect(stdout).toMatch(/, with 1 worker$/m);
});

describe('the data directory', () => {
  test('that is not there yet is right when it can be made', async () => {
    const folder = temporaryFolder();
    const { code } = await postern(['check', '-c', writeConfig(folder, { dataDir: join(folder, 'a/b/c') })]);
    expect(code).toBe(0);
  });

  test.each(['plain', 'plain/below'])('that is a file, or below one, is a fault: %s', async (name) => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'plain'), '');
    const { code, stderr } = await postern([
      'check',
      '-c',
      writeConfig(folder, { dataDir: join(folder, name) }),
    ]);
    expect(code).toBe(2);
    expect(stderr).toContain(`dataDir: found ${join(folder, name)}, but ${folder}/plain is no folder`);
  });

  // Root may write everywhere: the next test shows it the same as another user.
  if (!isRoot) {
    test('that this user may not write is a fault with the command that helps', () => {
      const folder = temporaryFolder();
      chmodSync(folder, 0o500);
      expect(folderFault(folder)).toMatch(/this user may not write \(EACCES.*chown \S+ /);
    });
  }

  test.runIf(isRoot)('that another user may not write is a fault for that one alone', async () => {
    const folder = temporaryFolder();
    chmodSync(folder, 0o755);
    const file = writeConfig(folder, {});
    expect((await postern(['check', '-c', file])).code).toBe(0);
    const { code, stderr } = checkAs(otherUser, file);
    expect(code).toBe(2);
    expect(stderr).toMatch(
      /a\.yaml:1:\d+: dataDir: found .*, which this user may not write \(EACCES.*\), and .*\/data is not there yet, expected .*chown \S+ .*\/data/,
    );
  });

  test.runIf(isRoot)('that belongs to another user makes root doubt its own check', async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, 'data'));
    chownSync(join(folder, 'data'), otherUser, otherUser);
    const { code, stderr } = await postern(['check', '-c', writeConfig(folder, {})]);
    expect(code).toBe(0);
    expect(stderr).toContain(`warning: checked as root, but ${folder}/data belongs to user ${otherUser}`);
  });
});

test.runIf(isRoot)('a users file of root is told to another user with the chown that helps', () => {
  const folder = temporaryFolder();
  chmodSync(folder, 0o755);
  writeFileSync(join(folder, 'users.yaml'), 'users:\n', { mode: 0o600 });
  const { code, stderr } = checkAs(otherUser, writeConfig(folder, { auth: { users: { file: 'users.yaml' } } }));
  expect(code).toBe(2);
  expect(stderr).toMatch(/auth\.users\.file: found a file that cannot be read \(EACCES.*`chown \S+ .*users\.yaml`/);
  expect(stderr).not.toContain('users add');
}); // prettier-ignore

function checkAs(uid: number, file: string): { code: number; stderr: string } {
  const outcome = { code: 0, stderr: '' };
  try {
    execFileSync(process.execPath, [posternMain, 'check', '-c', file], { uid, gid: uid, stdio: 'pipe' });
  } catch (error) {
    if (!(error instanceof Error) || !('status' in error) || !('stderr' in error)) throw error;
    return { code: Number(error.status), stderr: String(error.stderr) };
  }
  return outcome;
}

describe('addresses', () => {
  test('that this machine does not have are faults, of listeners and of admin', async () => {
    // RFC 5737 and RFC 3849: documentation only.
    const file = writeConfig(temporaryFolder(), {
      listeners: [
        { name: 'a', address: '192.0.2.77', port: 0 },
        { name: 'b', address: '2001:db8::77', port: 0 },
        { name: 'c', address: '127.5.5.5', port: 0 },
        { name: 'd', address: '::', port: 0 },
      ],
      admin: { address: '198.51.100.7', port: 0, token: '0123456789abcdef' },
    });
    const { code, stderr } = await postern(['check', '-c', file]);
    expect(code).toBe(2);
    expect(stderr).toContain(
      "listeners[0].address: found '192.0.2.77', expected an address that this machine has now",
    );
    expect(stderr).toContain("listeners[1].address: found '2001:db8::77'");
    expect(stderr).toContain("admin.address: found '198.51.100.7'");
    expect(stderr).toContain('the config has 3 faults');
  });
});

function warningsOfRoute(to: string, notifications: object): string[] {
  const listeners = [{ name: 'mx', address: '127.0.0.1', port: 0 }];
  const file = writeConfig(temporaryFolder(), {
    listeners,
    domains: [],
    routes: { out: { to } },
    notifications,
  });
  return warnings(loadConfig(file, {}), new Date());
}

test('notifications into a maildir are warned of', () => {
  expect(warningsOfRoute('maildir:./sent', { route: 'out' })).toEqual([
    expect.stringMatching(/^notifications.route is 'out', a maildir: .* reaches none of them/),
  ]);
  expect(warningsOfRoute('maildir:./sent', { route: 'out', enabled: false })).toEqual([]);
  expect(warningsOfRoute('smtp://127.0.0.1:1', { route: 'out' })).toEqual([]);
});

function warningsAt(time: number): string[] {
  const listeners = [{ name: 'mx', address: '127.0.0.1', port: 0, tls: 'starttls' }];
  const file = writeConfig(temporaryFolder(), { listeners, tls: testCertificate });
  return warnings(loadConfig(file, {}), new Date(time));
}

test('a certificate is warned of from 14 days before its end', () => {
  const end = new Date(new X509Certificate(readFileSync(testCertificate.certificate)).validTo).getTime();
  const dayMs = 86_400_000;
  expect(warningsAt(end - 15 * dayMs)).toEqual([]);
  expect(warningsAt(end - 13 * dayMs)).toEqual([
    expect.stringMatching(/localhost\.crt expires on 2126-10-29: .*renew it, then `postern reload`/),
  ]);
  expect(warningsAt(end + dayMs)).toEqual([expect.stringContaining('expired on 2126-10-29')]);
});

describe('a reserve of disk that is not there', () => {
  const listeners = [{ name: 'mx', address: '127.0.0.1', port: 0 }];
  const { bavail, blocks, bsize } = statfsSync(temporaryFolder());

  function warningsWith(diskReserve: number): string[] {
    const file = writeConfig(temporaryFolder(), { listeners, limits: { diskReserve: `${diskReserve}B` } });
    return warnings(loadConfig(file, {}), new Date());
  }

  test('is told: larger than the file system, or than what is free', () => {
    expect(warningsWith(blocks * bsize + 1)).toEqual([
      expect.stringMatching(
        /^limits\.diskReserve .* is more than the file system of .*: all new mail will get 452; make/,
      ),
    ]);
    // The files of others come and go: half of what is used lies between free and size.
    expect(warningsWith(Math.floor((bavail + blocks) / 2) * bsize)).toEqual([
      expect.stringMatching(
        /^only .* free on the file system of .*limits\.diskReserve .* is kept: .*452; make room/,
      ),
    ]);
    expect(warningsWith(0)).toEqual([]);
  });
});

describe('log-ins that nothing stands behind', () => {
  const submission = [
    { name: 'sub', address: '127.0.0.1', port: 0, role: 'submission', tls: 'required', route: 'disk' },
  ];
  const certificate = { tls: testCertificate };

  async function checked(auth: object): Promise<{ code: number; stderr: string }> {
    const file = writeConfig(temporaryFolder(), { listeners: submission, ...certificate, auth });
    const { code, stderr } = await postern(['check', '-c', file]);
    return { code: code ?? -1, stderr };
  }

  const dovecot = (socket: string) => checked({ mechanisms: ['PLAIN'], backend: { dovecot: { socket } } });

  test('a mechanism for which users of the file lack what it needs is told, with the option that stores it', async () => {
    const users = join(temporaryFolder(), 'users.yaml');
    await postern(['users', 'add', 'bob', '--file', users], { input: 'secret words\n' });
    await postern(['users', 'add', 'eve', '--cram-md5', '--file', users], { input: 'secret words\n' });
    const mechanisms = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-1', 'CRAM-MD5'];
    const { code, stderr } = await checked({ mechanisms, users: { file: users } });
    expect(code).toBe(0);
    expect(stderr.split('\n')).toEqual([
      expect.stringMatching(
        /has SCRAM-SHA-1, .*not be announced: 2 users of 2 in .* have nothing .*users add NAME --scram-sha-1`/,
      ),
      expect.stringMatching(
        /has CRAM-MD5, .*: 1 user of 2 in .* has nothing .*`postern users add NAME --cram-md5`/,
      ),
    ]);
  });

  test('a socket of Dovecot that is not there, or is none, is told', async () => {
    const folder = temporaryFolder();
    expect(await dovecot(join(folder, 'auth'))).toEqual({
      code: 0,
      stderr: expect.stringMatching(
        /dovecot\.socket: .*auth cannot be used \(ENOENT.*Dovecot must run, .*unix_listener.*454$/,
      ),
    });
    writeFileSync(join(folder, 'plain'), '');
    expect((await dovecot(join(folder, 'plain'))).stderr).toContain('plain is no socket');
    const server = createServer().listen(join(folder, 'there'));
    await once(server, 'listening');
    expect((await dovecot(join(folder, 'there'))).stderr).toBe('');
    server.close();
  });
});
