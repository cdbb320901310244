import { fork } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { costKey, defaultCost, parseHash, verifyPassword } from '../../src/pool/password-hash.js';
import { parseVerifier } from '../../src/pool/scram.js';
import { addUser, listUsers, loadUsers, removeUser } from '../../src/pool/users-file.js';

let directory: string;
let file: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'postern-users-'));
  file = join(directory, 'users.yaml');
});

afterEach(() => rm(directory, { recursive: true }));

const salt = 'c2FsdHNhbHRzYWx0c2FsdA';
const hash = 'aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g';
const key1 = Buffer.alloc(20, 1).toString('base64');
const key256 = Buffer.alloc(32, 1).toString('base64');

function userLines(name: string, cost = 'ln=4,r=1,p=1'): string {
  return [
    `  ${name}:`,
    `    scrypt: $scrypt$${cost}$${salt}$${hash}`,
    `    scram-sha-256: SCRAM-SHA-256$4096:c2FsdA==$${key256}:${key256}`,
    `    scram-sha-1: SCRAM-SHA-1$4096:c2FsdA==$${key1}:${key1}`,
    '',
  ].join('\n');
}

async function faultsOf(text: string): Promise<string> {
  await writeFile(file, text);
  const error: unknown = await loadUsers(file).catch((error: unknown) => error);
  expect(error).toMatchObject({ code: 'USERS_FILE' });
  return error instanceof Error ? error.message.replaceAll(file, 'FILE') : '';
}

async function ownerOf(path: string): Promise<number[]> {
  const { uid, gid } = await stat(path);
  return [uid, gid];
}

describe('adding, listing and removing users', () => {
  it('keeps them in the order in which they came, and tells new from known', async () => {
    expect(await addUser(file, 'bob', 'one')).toBe('added');
    expect(await addUser(file, 'alice@example.org', 'two')).toBe('added');
    expect(await addUser(file, 'bob', 'three')).toBe('replaced');
    expect(await listUsers(file)).toEqual(['bob', 'alice@example.org']);
    expect(await removeUser(file, 'bob')).toBe(true);
    expect(await removeUser(file, 'bob')).toBe(false);
    expect(await listUsers(file)).toEqual(['alice@example.org']);
    expect(await removeUser(file, 'alice@example.org')).toBe(true);
    expect(await listUsers(file)).toEqual([]);
  });

  it('stores a hash and a SCRAM verifier of each kind asked for, and not the password', async () => {
    await addUser(file, 'alice', 'correct horse', { extras: ['SCRAM-SHA-1'] });
    const users = await loadUsers(file);
    const stored = users.hashOf('alice') ?? '';
    expect(await verifyPassword('correct horse', stored)).toBe(true);
    expect(parseHash(stored)?.cost).toEqual(defaultCost);
    const text = await readFile(file, 'utf8');
    expect(text).not.toContain('correct');
    for (const mechanism of ['SCRAM-SHA-256', 'SCRAM-SHA-1'] as const) {
      const line = text.split('\n').find((line) => line.includes(` ${mechanism}$`)) ?? '';
      expect(parseVerifier(mechanism, line.trim().split(' ')[1] ?? '')).toBeDefined();
    }
  });

  it('stores for the weaker mechanisms only what was asked for', async () => {
    await addUser(file, 'alice', 'correct horse');
    expect(await readFile(file, 'utf8')).not.toMatch(/scram-sha-1:|cram-md5/);
    await addUser(file, 'alice', 'correct horse', { extras: ['CRAM-MD5'] });
    expect(await readFile(file, 'utf8')).not.toContain('correct');
    const users = await loadUsers(file);
    expect(users.secretOf('alice')).toBe('correct horse');
    expect(users.secretOf('bob')).toBeUndefined();
    expect(['SCRAM-SHA-256', 'SCRAM-SHA-1', 'CRAM-MD5'].map((name) => users.lacking(name))).toEqual([
      0, 1, 0,
    ]);
  });

  it('keeps the key of unknown salts when users come and go (A-104)', async () => {
    await addUser(file, 'alice', 'x');
    const { unknownSaltKey } = await loadUsers(file);
    expect(unknownSaltKey).toHaveLength(32);
    await addUser(file, 'bob', 'x');
    await removeUser(file, 'alice');
    expect((await loadUsers(file)).unknownSaltKey).toEqual(unknownSaltKey);
  });

  it('makes the file readable for its owner alone, whatever it was before', async () => {
    await addUser(file, 'alice', 'x');
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    await chmod(file, 0o644);
    await addUser(file, 'alice', 'y');
    expect((await stat(file)).mode & 0o777).toBe(0o600);
  });

  it.runIf(process.getuid?.() === 0)('made by root belongs to who has the folder named, else its own', async () => {
    const dataDir = join(directory, 'data');
    await chown(directory, 1, 2);
    await addUser(file, 'alice', 'x', { newOwnerLike: dataDir });
    expect(await ownerOf(file)).toEqual([1, 2]);
    await rm(file);
    await mkdir(dataDir);
    await chown(dataDir, 3, 4);
    await addUser(file, 'alice', 'x', { newOwnerLike: dataDir });
    expect(await ownerOf(file)).toEqual([3, 4]);
    // Whoever it was given to since keeps it.
    await chown(file, 5, 6);
    await addUser(file, 'bob', 'x', { newOwnerLike: dataDir });
    expect(await ownerOf(file)).toEqual([5, 6]);
  }); // prettier-ignore

  it('leaves nothing beside the file', async () => {
    await addUser(file, 'alice', 'x');
    await removeUser(file, 'nobody');
    await removeUser(file, 'alice');
    expect(await readdir(directory)).toEqual(['users.yaml']);
  });

  it.each(['__proto__', 'constructor', '007', 'null', 'yes', '~', 'a: b', '# a', 'Jos\u00e9', 'a b'])(
    'keeps the name %s as it is (A-088)',
    async (name) => {
      await addUser(file, name, 'x');
      expect(await listUsers(file)).toEqual([name]);
      expect((await loadUsers(file)).hashOf(name)).toBeDefined();
    },
  );

  it('takes two spellings of a name for one user', async () => {
    await addUser(file, 'Jose\u0301', 'x');
    expect(await addUser(file, 'Jos\u00e9', 'x')).toBe('replaced');
  });

  it('refuses names and passwords that nobody could log in with', async () => {
    const refused = { code: 'USERS_FILE' };
    await expect(addUser(file, '', 'x')).rejects.toMatchObject(refused);
    await expect(addUser(file, 'a\nb', 'x')).rejects.toMatchObject(refused);
    await expect(addUser(file, 'a', '')).rejects.toMatchObject(refused);
    await expect(addUser(file, 'a', 'x\0y')).rejects.toMatchObject(refused);
    expect(await readdir(directory)).toEqual([]);
  });

  it('leaves a file with faults untouched', async () => {
    await writeFile(file, 'users: [alice]\n');
    await expect(addUser(file, 'bob', 'x')).rejects.toMatchObject({ code: 'USERS_FILE' });
    expect(await readFile(file, 'utf8')).toBe('users: [alice]\n');
    expect(await readdir(directory)).toEqual(['users.yaml']);
  });

  it('says so when there is no file, or no folder', async () => {
    await expect(loadUsers(file)).rejects.toThrow('there is no such file; `postern users add NAME` makes it');
    await expect(removeUser(file, 'alice')).rejects.toMatchObject({ code: 'USERS_FILE' });
    expect(await readdir(directory)).toEqual([]);
    await expect(addUser(join(directory, 'none', 'users.yaml'), 'a', 'x')).rejects.toMatchObject({
      code: 'USERS_FILE',
    });
    await expect(loadUsers(directory)).rejects.toMatchObject({ code: 'USERS_FILE' });
  });

  it('loses none of eight that are added by eight processes at once', async () => {
    const adder = fileURLToPath(new URL('./processes/add-user.mjs', import.meta.url));
    const names = Array.from({ length: 8 }, (_, i) => `user${i}`);
    const exits = names.map((name) => once(fork(adder, [file, name], { execArgv: [] }), 'exit'));
    expect((await Promise.all(exits)).map(([code]) => code as unknown)).toEqual(names.map(() => 0));
    expect((await listUsers(file)).toSorted()).toEqual(names);
    expect(await readdir(directory)).toEqual(['users.yaml']);
  });

  it('says whose lock is in the way when that process is gone, and changes nothing', async () => {
    const gone = fork(fileURLToPath(new URL('./processes/nothing.mjs', import.meta.url)), { execArgv: [] });
    await once(gone, 'exit');
    await writeFile(`${file}.lock`, String(gone.pid));
    await expect(addUser(file, 'alice', 'x')).rejects.toMatchObject({
      code: 'USERS_FILE',
      message: expect.stringContaining(`held by process ${gone.pid}, which is gone`) as unknown,
    });
    expect(await readdir(directory)).toEqual(['users.yaml.lock']);
  });
});

describe('reading the users file', () => {
  it('makes a dummy that costs what most hashes cost', async () => {
    const strong = 'ln=5,r=2,p=1';
    await writeFile(file, `users:\n${userLines('a')}${userLines('b', strong)}${userLines('c', strong)}`);
    const users = await loadUsers(file);
    const dummy = parseHash(users.dummyHash);
    expect(dummy && costKey(dummy.cost)).toBe(strong);
    expect(users.names).toEqual(['a', 'b', 'c']);
    expect(users.hashOf('d')).toBeUndefined();
  });

  it('makes a dummy of the usual cost while there are no users', async () => {
    await writeFile(file, 'users: {}\n');
    expect(parseHash((await loadUsers(file)).dummyHash)?.cost).toEqual(defaultCost);
    await writeFile(file, 'users:\n');
    expect((await loadUsers(file)).names).toEqual([]);
  });

  it('says for how many users a mechanism has nothing to check against', async () => {
    const secret = '    cram-md5: c2VjcmV0\n';
    const withoutSha1 = userLines('b').replace(/ {4}scram-sha-1:.*\n/, '');
    await writeFile(file, `users:\n${userLines('a')}${withoutSha1}${secret}${userLines('c')}`);
    const users = await loadUsers(file);
    const lacking = ['PLAIN', 'LOGIN', 'SCRAM-SHA-256', 'SCRAM-SHA-1', 'CRAM-MD5', 'NTLM'].map((name) =>
      users.lacking(name),
    );
    expect(lacking).toEqual([0, 0, 0, 1, 2, 3]);
    expect(users.verifierOf('SCRAM-SHA-1', 'b')).toBeUndefined();
    expect(users.verifierOf('SCRAM-SHA-1', 'a')).toMatchObject({ iterations: 4096 });
    expect(users.commonIterations('SCRAM-SHA-256')).toBe(4096);
  });

  it('A-104: an unknown name is told the common iterations without a look at every user', async () => {
    const stronger = userLines('c').replaceAll('$4096:', '$8192:');
    await writeFile(file, `users:\n${userLines('a')}${userLines('b')}${stronger}`);
    const users = await loadUsers(file);
    const reads = vi.spyOn(Map.prototype, 'values');
    try {
      expect([users.commonIterations('SCRAM-SHA-256'), users.commonIterations('SCRAM-SHA-1')]).toEqual([
        4096, 4096,
      ]);
      expect(reads).not.toHaveBeenCalled();
    } finally {
      reads.mockRestore();
    }
  });

  it('a file without a key for unknown salts serves with one of its own, the same each time', async () => {
    await writeFile(file, `users:\n${userLines('a')}`);
    const { unknownSaltKey } = await loadUsers(file);
    expect(unknownSaltKey).toHaveLength(32);
    expect((await loadUsers(file)).unknownSaltKey).toEqual(unknownSaltKey);
  });

  const faults: { text: string; told: string; why: string }[] = [
    { why: 'an empty file', text: '', told: 'FILE:1: expected `users:` and a user name below it' },
    { why: 'another top', text: 'people:\n', told: 'FILE:1: expected `users:` and a user name below it' },
    { why: 'a list', text: 'users:\n  - alice\n', told: 'FILE:2: expected user names below `users:`' },
    { why: 'a lone name', text: `users:\n${userLines('a')}  bob:\n`, told: 'FILE:6: bob: expected scrypt' },
    { why: 'a password', text: 'users:\n  bob: secret\n', told: 'FILE:2: bob: expected scrypt' },
    {
      why: 'a cut hash',
      text: `users:\n${userLines('a').replace(hash, 'aGFz')}`,
      told: 'FILE:3: a: scrypt is damaged',
    },
    {
      why: 'a verifier of the other kind',
      text: `users:\n${userLines('a').replace('SCRAM-SHA-1$', 'SCRAM-SHA-256$')}`,
      told: 'FILE:5: a: scram-sha-1 is damaged',
    },
    {
      why: 'a line that is gone',
      text: `users:\n${userLines('a').replace(/ {4}scram-sha-256.*\n/, '')}`,
      told: 'FILE:2: a: scram-sha-256 is missing',
    },
    {
      why: 'a key nobody knows',
      text: `users:\n${userLines('a')}    quota: 5\n`,
      told: 'FILE:6: a: unknown key quota',
    },
    {
      why: 'a secret that is no base64',
      text: `users:\n${userLines('a')}    cram-md5: secret!\n`,
      told: 'FILE:6: a: cram-md5 is damaged',
    },
    {
      why: 'a short key of unknown salts',
      text: `unknown-salt-key: c2hvcnQ=\nusers:\n${userLines('a')}`,
      told: 'FILE:1: unknown-salt-key is damaged',
    },
    { why: 'one name twice', text: `users:\n${userLines('a')}${userLines('a')}`, told: 'FILE:6: ' },
    {
      why: 'a name not in its normal form',
      text: `users:\n${userLines('Jose\u0301')}`,
      told: 'FILE:2: this is no user name',
    },
    { why: 'broken YAML', text: 'users: {\n', told: 'FILE:2: ' },
    { why: 'an alias', text: 'users:\n  a: *b\n', told: 'FILE:2: ' },
  ];
  it.each(faults)('tells the line of $why', async ({ text, told }) => {
    expect(await faultsOf(text)).toContain(told);
  });

  it('tells all faults at once, but not more than twenty', async () => {
    const text = `users:\n${Array.from({ length: 30 }, (_, i) => `  u${i}: x\n`).join('')}`;
    expect((await faultsOf(text)).split('\n')).toHaveLength(20);
  });
});
