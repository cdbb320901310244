import { chownSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { configText, postern, temporaryFolder } from './harness.js';

describe('postern users', () => {
  test('adds from stdin, lists, replaces and removes; the password is nowhere in clear', async () => {
    const folder = temporaryFolder();
    const file = join(folder, 'users.yaml');
    const added = await postern(['users', 'add', 'joe@example.test', '--file', file], {
      input: 'hunter22hunter22\n',
    });
    expect(added).toMatchObject({ code: 0, stderr: '' });
    expect(added.stdout).toContain(`joe@example.test added to ${file}`);
    expect(readFileSync(file, 'utf8')).not.toContain('hunter22');

    const replaced = await postern(['users', 'add', 'joe@example.test', '--file', file], {
      input: 'other-password\r\n',
    });
    expect(replaced.stdout).toContain('was there already, its password is replaced in');

    expect((await postern(['users', 'list', '--file', file])).stdout).toBe('joe@example.test');
    expect(JSON.parse((await postern(['users', 'list', '--json', '--file', file])).stdout)).toEqual([
      'joe@example.test',
    ]);

    expect(await postern(['users', 'remove', 'joe@example.test', '--file', file])).toMatchObject({ code: 0 });
    const again = await postern(['users', 'remove', 'joe@example.test', '--file', file]);
    expect(again.code).toBe(1);
    expect(again.stderr).toContain(`${file} has no user joe@example.test`);
  });

  test('finds the file in the config, and makes it', async () => {
    const folder = temporaryFolder();
    const config: object = JSON.parse(configText(0, join(folder, 'data')));
    writeFileSync(
      join(folder, 'a.yaml'),
      JSON.stringify({ ...config, auth: { users: { file: 'people.yaml' } } }),
    );
    const added = await postern(['users', 'add', 'joe', '--config', join(folder, 'a.yaml')], {
      input: 'hunter22hunter22',
    });
    expect(added).toMatchObject({ code: 0, stderr: '' });
    expect(readFileSync(join(folder, 'people.yaml'), 'utf8')).toContain('joe');
  });

  test('warns when the new user is the only one without what a mechanism needs', async () => {
    const file = join(temporaryFolder(), 'users.yaml');
    const add = (...args: string[]) =>
      postern(['users', 'add', ...args, '--file', file], { input: 'hunter22hunter22\n' });
    expect(await add('ann', '--cram-md5')).toMatchObject({ code: 0, stderr: '' });
    const bob = await add('bob');
    expect(bob).toMatchObject({ code: 0 });
    expect(bob.stderr).toBe(
      'postern: warning: CRAM-MD5 will not be announced any more: bob lacks what it needs, which the others (1) have. If they use it, give the password again with `postern users add bob --cram-md5`',
    );
    // It is not announced by now.
    expect(await add('carl')).toMatchObject({ code: 0, stderr: '' });
  });

  test('says what to do where the config names no file', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'a.yaml'), configText(0, join(folder, 'data')));
    const { code, stderr } = await postern(['users', 'list', '--config', join(folder, 'a.yaml')]);
    expect(code).toBe(2);
    expect(stderr).toContain('use --file FILE');
  });

  test('wants a password', async () => {
    const file = join(temporaryFolder(), 'users.yaml');
    const { code, stderr } = await postern(['users', 'add', 'joe', '--file', file], { input: '' });
    expect(code).toBe(2);
    expect(stderr).toContain('no password on stdin');
  });

  test.each(['joe smith', 'joe:admin', 'joe\tsmith', 'joe\u00a0smith', ''])(
    'refuses the name %j before it asks for a password',
    async (name) => {
      const file = join(temporaryFolder(), 'users.yaml');
      const { code, stderr } = await postern(['users', 'add', name, '--file', file], { input: '' });
      expect(code).toBe(2);
      expect(stderr).toContain('the user name ');
      expect(existsSync(file)).toBe(false);
    },
  );

  test('refuses a password shorter than 8 characters', async () => {
    const file = join(temporaryFolder(), 'users.yaml');
    const { code, stderr } = await postern(['users', 'add', 'joe', '--file', file], { input: 'secret7\n' });
    expect(code).toBe(2);
    expect(stderr).toContain('shorter than 8 characters');
    expect(existsSync(file)).toBe(false);
  });

  test.runIf(process.getuid?.() === 0)('gives a file that root makes to the owner of dataDir', async () => {
    const folder = temporaryFolder();
    const dataDir = join(folder, 'data');
    mkdirSync(dataDir);
    chownSync(dataDir, 1, 2);
    const config: object = JSON.parse(configText(0, dataDir));
    const file = join(folder, 'a.yaml');
    writeFileSync(file, JSON.stringify({ ...config, auth: { users: { file: 'people.yaml' } } }));
    await postern(['users', 'add', 'joe', '--config', file], { input: 'hunter22hunter22' });
    expect(statSync(join(folder, 'people.yaml'))).toMatchObject({ uid: 1, gid: 2 });
  });
});
