import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { root } from '../support/postern.js';
import { configText, postern, temporaryFolder } from './harness.js';

describe('the command line', () => {
  test('tells its version', async () => {
    const manifest: { version: string } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    expect(await postern(['--version'])).toMatchObject({ code: 0, stdout: manifest.version, stderr: '' });
  });

  test('names every command in its help', async () => {
    const { code, stdout } = await postern(['--help']);
    expect(code).toBe(0);
    for (const command of ['start', 'check', 'config', 'users', 'queue', 'status', 'reload', 'stop', 'send'])
      expect(stdout).toMatch(new RegExp(`^  ${command} `, 'm'));
  });

  test.each([
    [['frobnicate'], "unknown command 'frobnicate'"],
    [['queue', 'frobnicate'], "unknown command 'frobnicate'"],
    [['check', '--frobnicate'], "unknown option '--frobnicate'"],
    [['queue', 'show'], "missing required argument 'ids'"],
    [['queue', 'list', '--state', 'lost'], 'Allowed choices are active, deferred, held, parked, failed'],
    [['queue', 'list', '--limit', 'many'], 'expected a whole number'],
    [['queue', 'list', '--limit', '0'], 'expected a whole number from 1 to 1000'],
    [['queue', 'list', '--limit', '1001'], 'expected a whole number from 1 to 1000'],
    [['users', 'add', 'joe', 'secret'], 'too many arguments'],
    [[], 'Usage: postern'],
    [['queue'], 'Usage: postern queue'],
  ])('wrong usage exits 2: %j', async (args, message) => {
    const { code, stderr } = await postern(args);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });
});

describe('postern check', () => {
  const wrong = 'hostname: 5\nlistners: []\nadmin: { port: x }\n';

  test('prints every fault with its place and exits 2', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'wrong.yaml'), wrong);
    const { code, stdout, stderr } = await postern(['check', '--config', 'wrong.yaml'], { cwd: folder });
    expect(code).toBe(2);
    expect(stdout).toBe('');
    const lines = stderr.split('\n');
    expect(lines).toEqual([
      'wrong.yaml:1:1: listeners: found nothing, expected a list of 1 to 64 listeners',
      'wrong.yaml:1:11: hostname: found the number 5, expected a domain name such as mx1.example.org',
      expect.stringMatching(
        /^wrong\.yaml:2:1: listners: found an unknown key \(did you mean 'listeners'\?\), expected one of /,
      ),
      "wrong.yaml:3:16: admin.port: found 'x', expected a whole number from 0 to 65535",
      'postern: the config has 4 faults; nothing was done.',
    ]);
  });

  test('finds the file in POSTERN_CONFIG', async () => {
    const folder = temporaryFolder();
    const file = join(folder, 'wrong.yaml');
    writeFileSync(file, wrong);
    const { code, stderr } = await postern(['check'], { env: { POSTERN_CONFIG: file } });
    expect(code).toBe(2);
    expect(stderr).toContain(`${file}:1:11: hostname`);
  });

  test('says what a right file does', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'right.yaml'), configText(0, join(folder, 'data')));
    const { code, stdout } = await postern(['check', '-c', 'right.yaml'], { cwd: folder });
    expect(code).toBe(0);
    expect(stdout).toContain('right.yaml: ok');
    expect(stdout).toContain('mx (inbound, 127.0.0.1 port 0, tls off)');
    expect(stdout).toContain('example.test');
  });

  test('names a file that is not there', async () => {
    const { code, stderr } = await postern(['check', '-c', '/none/postern.yaml']);
    expect(code).toBe(2);
    expect(stderr).toContain('/none/postern.yaml: the config file cannot be read: ENOENT');
  });

  test('says where it looked for the default, and how to name another', async () => {
    const folder = temporaryFolder();
    const { code, stderr } = await postern(['check'], { cwd: folder });
    expect(code).toBe(2);
    expect(stderr).toContain(
      `looked for at ${join(folder, 'config/postern.yaml')}; name yours with --config FILE or the variable POSTERN_CONFIG`,
    );
  });
});

test('postern start refuses a wrong config before anything else', async () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'wrong.yaml'), 'hostname: 5\n');
  const { code, stderr } = await postern(['start', '--config', 'wrong.yaml'], { cwd: folder });
  expect(code).toBe(2);
  expect(stderr).toContain('wrong.yaml:1:11: hostname: found the number 5');
});

describe('postern config', () => {
  test('show prints what is in force, with the environment in it', async () => {
    const folder = temporaryFolder();
    const file = join(folder, 'a.yaml');
    writeFileSync(file, configText(0, join(folder, 'data')));
    const env = { POSTERN_LIMITS_RECIPIENTS: '123', POSTERN_ADMIN_TOKEN: 'not-to-be-seen-at-all' };
    const { code, stdout } = await postern(['config', 'show', '-c', file], { env });
    expect(code).toBe(0);
    expect(stdout).toContain('recipients: 123');
    expect(stdout).toContain('messageBytes: 25MiB');
    expect(stdout).not.toContain('not-to-be-seen');
    const json = await postern(['config', 'show', '--json', '-c', file], { env });
    expect(JSON.parse(json.stdout)).toMatchObject({ limits: { recipients: 123, messageBytes: '25MiB' } });
    expect(json.stdout).not.toContain('not-to-be-seen');
  });

  test('schema and reference print what is committed', async () => {
    const schema = await postern(['config', 'schema']);
    expect(schema.stdout).toBe(readFileSync(join(root, 'config/postern.schema.json'), 'utf8').trimEnd());
    const reference = await postern(['config', 'reference']);
    expect(reference.stdout).toBe(readFileSync(join(root, 'config/reference.md'), 'utf8').trimEnd());
  });
});
