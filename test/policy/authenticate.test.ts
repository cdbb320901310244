import { describe, expect, it } from 'vitest';

import { PosternError } from '../../src/base/errors.js';
import { Authenticator, type PasswordTask, type Users } from '../../src/policy/authenticate.js';
import type { AuthResult, LoginOrigin } from '../../src/policy/login.js';
import type { Mechanism } from '../../src/protocol/types.js';

const stranger: LoginOrigin = {
  address: '192.0.2.1',
  listener: 'submission',
  sessionId: 'S',
  isKnown: false,
};

/** A "hash" is `hash-of-` and the password: what is tested is who computes how many, not scrypt. */
class Bench {
  readonly computed: PasswordTask[] = [];
  readonly firsts: boolean[] = [];
  readonly results: string[] = [];
  failure: Error | undefined;
  readonly hashes = new Map([
    ['alice', 'hash-of-tiger'],
    ['bob', 'hash-of-tiger'],
  ]);
  readonly authenticator: Authenticator;

  constructor(cache?: { entries: number; ttlMs: number }) {
    const users: Users = {
      names: [...this.hashes.keys()],
      hashOf: (name) => this.hashes.get(name),
      dummyHash: 'dummy',
    };
    this.authenticator = new Authenticator({
      users,
      verify: (task, first) => this.#verify(task, first),
      meters: { authTotal: { of: (mechanism, result) => this.#cell(`${mechanism} ${result}`) } },
      ...(cache && { cache }),
    });
  }

  check(
    mechanism: Mechanism,
    authorizationId: string,
    name: string,
    password: string,
    origin: LoginOrigin = stranger,
  ): Promise<AuthResult> {
    return this.authenticator.check(mechanism, authorizationId, name, password, origin);
  }

  async #verify(task: PasswordTask, first: boolean): Promise<boolean> {
    this.computed.push(task);
    this.firsts.push(first);
    await Promise.resolve();
    if (this.failure !== undefined) throw this.failure;
    return task.hash === `hash-of-${task.password}`;
  }

  #cell(key: string): { value: number } {
    this.results.push(key);
    return { value: 0 };
  }
}

const ok = (user: string): object => ({ kind: 'ok', user });
const failed = { kind: 'failed' };

describe('a log-in', () => {
  it('succeeds with the right password', async () => {
    const bench = new Bench();
    expect(await bench.check('PLAIN', '', 'alice', 'tiger')).toEqual(ok('alice'));
    expect(await bench.check('LOGIN', '', 'bob', 'tiger')).toEqual(ok('bob'));
    expect(bench.results).toEqual(['PLAIN ok', 'LOGIN ok']);
  });

  it('of somebody who is known there goes first, right or wrong, user or not (A-103)', async () => {
    const bench = new Bench();
    for (const isKnown of [true, false])
      for (const name of ['alice', 'carol'])
        await bench.check('PLAIN', '', name, 'lion', { ...stranger, isKnown });
    expect(bench.firsts).toEqual([true, true, false, false]);
  });

  const refused: [authorizationId: string, name: string, password: string, why: string][] = [
    ['', 'alice', 'lion', 'a wrong password'],
    ['', 'carol', 'tiger', 'an unknown user'],
    ['', 'Alice', 'tiger', 'names are exact'],
    ['', '', 'tiger', 'no name (A-101)'],
    ['', 'alice', '', 'no password (A-101)'],
    ['bob', 'alice', 'tiger', 'nobody acts for another (A-101)'],
    ['\0', 'alice', 'tiger', 'an authorization id that is no name'],
    ['', 'alice\0', 'tiger', 'a name with NUL'],
    ['', 'alice', 'ti\0ger', 'a password with NUL'],
    ['', 'alice', '\uFFFD', 'what invalid UTF-8 becomes (A-101)'],
    ['', 'alice', 'x'.repeat(2 ** 20), 'a password of 1 MiB (A-101)'],
    ['', '__proto__', 'tiger', 'a name that objects have (A-088)'],
    ['', 'carol', 'dummy', 'nobody guesses the dummy'],
  ];
  it.each(
    refused.map(([authorizationId, name, password, why]) => ({ authorizationId, name, password, why })),
  )(
    'fails for one hash computed, the same for all (A-104, G-23): $why',
    async ({ authorizationId, name, password }) => {
      const bench = new Bench();
      expect(await bench.check('PLAIN', authorizationId, name, password)).toEqual(failed);
      expect(bench.computed).toHaveLength(1);
      expect(bench.results).toEqual(['PLAIN failed']);
    },
  );

  it('takes the own name as authorization id', async () => {
    const bench = new Bench();
    expect(await bench.check('PLAIN', 'alice', 'alice', 'tiger')).toEqual(ok('alice'));
  });

  it('takes two spellings for one name and one password', async () => {
    const bench = new Bench();
    bench.hashes.set('jos\u00e9', 'hash-of-caf\u00e9');
    expect(await bench.check('PLAIN', '', 'jose\u0301', 'cafe\u0301')).toEqual(ok('jos\u00e9'));
  });

  it('succeeds for nobody whose dummy happens to fit', async () => {
    const always = new Authenticator({
      users: { names: ['alice'], hashOf: () => undefined, dummyHash: 'dummy' },
      verify: () => Promise.resolve(true),
      meters: { authTotal: { of: () => ({ value: 0 }) } },
    });
    expect(await always.check('PLAIN', '', 'carol', 'x', stranger)).toEqual(failed);
  });
});

describe('repeated log-ins', () => {
  it('are answered without a hash after the first success', async () => {
    const bench = new Bench();
    for (let i = 0; i < 3; i++) expect(await bench.check('PLAIN', '', 'alice', 'tiger')).toEqual(ok('alice'));
    expect(bench.computed).toHaveLength(1);
    expect(bench.results).toEqual(['PLAIN ok', 'PLAIN ok', 'PLAIN ok']);
  });

  it('are not answered for another password, another user or a changed one', async () => {
    const bench = new Bench();
    await bench.check('PLAIN', '', 'alice', 'tiger');
    expect(await bench.check('PLAIN', '', 'alice', 'lion')).toEqual(failed);
    expect(await bench.check('PLAIN', '', 'bob', 'tiger')).toEqual(ok('bob'));
    bench.hashes.set('alice', 'hash-of-lion');
    expect(await bench.check('PLAIN', '', 'alice', 'tiger')).toEqual(failed);
    expect(bench.computed).toHaveLength(4);
  });

  it('never remember a failure as one: a wrong password costs a hash each time (A-104)', async () => {
    const bench = new Bench();
    for (let i = 0; i < 3; i++) expect(await bench.check('PLAIN', '', 'alice', 'lion')).toEqual(failed);
    expect(bench.computed).toHaveLength(3);
  });

  it('cost a hash again when the cache is full of others', async () => {
    const bench = new Bench({ entries: 1, ttlMs: 60_000 });
    for (const name of ['alice', 'bob', 'alice']) await bench.check('PLAIN', '', name, 'tiger');
    expect(bench.computed).toHaveLength(3);
  });
});

describe('when the pool cannot help', () => {
  it.each(['POOL_FULL', 'POOL_TIMEOUT', 'POOL_TASK'] as const)(
    'on %s the answer is "unavailable" for known and unknown users alike (A-103)',
    async (code) => {
      const bench = new Bench();
      bench.failure = new PosternError(code, 'on purpose');
      for (const name of ['alice', 'carol'])
        expect(await bench.check('PLAIN', '', name, 'tiger')).toEqual({ kind: 'unavailable' });
      expect(bench.results).toEqual(['PLAIN unavailable', 'PLAIN unavailable']);
      bench.failure = undefined;
      expect(await bench.check('PLAIN', '', 'alice', 'tiger')).toEqual(ok('alice'));
    },
  );

  it('does not hide a fault of ours', async () => {
    const bench = new Bench();
    bench.failure = new TypeError('a bug');
    await expect(bench.check('PLAIN', '', 'alice', 'tiger')).rejects.toThrow('a bug');
  });
});
