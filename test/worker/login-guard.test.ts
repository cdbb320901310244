import { describe, expect, it } from 'vitest';
import { KnownLogins } from '../../src/base/known-logins.js';
import { keyScope } from '../../src/base/tallies.js';
import { LoginGuard, type LoginGuardOptions } from '../../src/worker/login-guard.js';

const limits = { host: 20, network: 60, account: 10 };

/** A guard, asked as by clients that try passwords. */
class Tester {
  readonly known = new KnownLogins();
  readonly guard: LoginGuard;

  constructor(failures: LoginGuardOptions['failures'], exempt: readonly string[]) {
    this.guard = new LoginGuard({ failures, known: this.known, exempt });
  }

  refuses(address: string, user: string, isGuess = true): string | undefined {
    return this.guard.limitAt(this.guard.keysOf({ address, user, isGuess }));
  }

  failed(address: string, user: string, isGuess = true): void {
    this.guard.failed(this.guard.keysOf({ address, user, isGuess }));
  }

  refusesConnection(address: string): boolean {
    return this.guard.refusesConnection(address);
  }

  succeeded(address: string, user: string): void {
    this.guard.succeeded(this.guard.keysOf({ address, user, isGuess: true }), user);
  }
}

/** Guards of two workers, with one count for both, as the primary makes it in a quarter of a second. */
function workers(exempt: readonly string[] = []): { one: Tester; two: Tester; tell: () => void } {
  const counts = new Map<string, number>();
  const failures = {
    isFull: (_: string, key: string, more = 0) => (counts.get(key) ?? 0) + more >= limits[keyScope(key)],
    count: (_: string, key: string) => void counts.set(key, (counts.get(key) ?? 0) + 1),
  };
  const one = new Tester(failures, exempt);
  const two = new Tester(failures, exempt);
  return { one, two, tell: () => two.known.learn(one.known.takeNews() ?? []) };
}

function fail(guard: Tester, times: number, address: string, user: (time: number) => string): void {
  for (let time = 0; time < times; time++) guard.failed(address, user(time));
}

describe('limits on guessing (A-103)', () => {
  it('refuse a client after 20 failures in a minute, at connect and at AUTH, whatever names it tries', () => {
    const { one, two } = workers();
    fail(one, 19, '192.0.2.1', (time) => `user${time}`);
    expect([two.refuses('192.0.2.1', 'x'), two.refusesConnection('192.0.2.1')]).toEqual([undefined, false]);
    fail(one, 1, '192.0.2.1', () => '');
    expect([two.refuses('192.0.2.1', 'x'), two.refusesConnection('192.0.2.1')]).toEqual(['host', true]);
    expect([two.refuses('192.0.2.2', 'x'), two.refusesConnection('192.0.2.2')]).toEqual([undefined, false]);
  });

  it('let those go first who are known, and all where nobody is limited', () => {
    const { one, two, tell } = workers(['10.0.0.0/8']);
    one.succeeded('192.0.2.1', 'Alice');
    tell();
    const known = (address: string, user: string): boolean =>
      two.guard.keysOf({ address, user, isGuess: true }).isKnown;
    expect(known('192.0.2.1', 'alice')).toBe(true);
    expect(known('192.0.2.1', 'bob')).toBe(false);
    expect(known('192.0.2.2', 'alice')).toBe(false);
    expect(known('10.1.2.3', 'bob')).toBe(true);
  });

  it('count an IPv6 client by its /64, and neighbours together up to their own limit', () => {
    const { one } = workers();
    for (let i = 0; i < 20; i++) one.failed(`2001:db8:1:2::${i}`, `user${i}`);
    expect(one.refuses('2001:db8:1:2::ffff', 'x')).toBe('host');
    expect(one.refuses('2001:db8:1:3::1', 'x')).toBeUndefined();
    fail(one, 19, '2001:db8:1:3::1', (time) => `a${time}`);
    fail(one, 19, '2001:db8:1:4::1', (time) => `b${time}`);
    fail(one, 2, '2001:db8:1:5::1', (time) => `c${time}`);
    expect(one.refuses('2001:db8:1:6::1', 'x')).toBe('network');
  });

  it('refuse an account that many clients guess at, user or stranger alike, however its name is written', () => {
    const { one, two } = workers();
    for (let i = 0; i < 10; i++) one.failed(`198.51.${i}.1`, i % 2 === 0 ? 'alice' : 'ALICE');
    expect(two.refuses('203.0.113.1', 'Alice')).toBe('account');
    expect(two.refuses('203.0.113.1', 'bob')).toBeUndefined();
    expect(two.refusesConnection('203.0.113.1')).toBe(false);
  });

  it('do not lock the owner out from where he logged in of late, on any worker', () => {
    const { one, two, tell } = workers();
    one.succeeded('192.0.2.1', 'alice');
    tell();
    for (let i = 0; i < 50; i++) two.failed(`198.51.${i}.1`, 'alice');
    for (const guard of [one, two]) {
      expect(guard.refuses('192.0.2.1', 'alice')).toBeUndefined();
      expect(guard.refuses('192.0.2.9', 'alice')).toBe('account');
    }
  });

  it('do not lock him out for what others behind his address do', () => {
    const { one } = workers();
    one.succeeded('192.0.2.1', 'alice');
    fail(one, 30, '192.0.2.1', (time) => `user${time}`);
    expect(one.refusesConnection('192.0.2.1')).toBe(false);
    expect(one.refuses('192.0.2.1', 'alice')).toBeUndefined();
    expect(one.refuses('192.0.2.1', 'bob')).toBe('host');
  });

  it('but let nobody guess on from there either', () => {
    const { one } = workers();
    one.succeeded('192.0.2.1', 'alice');
    fail(one, 10, '192.0.2.1', () => 'alice');
    expect(one.refuses('192.0.2.1', 'alice')).toBe('account');
  });

  it('do not count exempt networks', () => {
    const { one } = workers(['192.0.2.0/24']);
    fail(one, 100, '192.0.2.1', () => 'alice');
    one.succeeded('192.0.2.1', 'alice');
    expect([one.refuses('192.0.2.1', 'alice'), one.refusesConnection('192.0.2.1')]).toEqual([
      undefined,
      false,
    ]);
    expect(one.refuses('198.51.100.1', 'alice')).toBeUndefined();
    expect(one.known.takeNews()).toBeUndefined();
  });
});

describe('log-ins that are no guesses, by token, certificate or without a name yet (A-103)', () => {
  it('from where somebody logged in go on while neighbours fail, and those from elsewhere do not', () => {
    const { one } = workers();
    one.succeeded('192.0.2.1', 'alice');
    for (let i = 0; i < 60; i++) one.failed(`192.0.2.${100 + (i % 20)}`, `user${i}`);
    expect(one.refuses('192.0.2.1', '', false)).toBeUndefined();
    expect(one.refuses('192.0.2.1', 'bob', false)).toBeUndefined();
    expect(one.refuses('192.0.2.1', 'bob')).toBe('network');
    expect(one.refuses('192.0.2.2', '', false)).toBe('network');
  });

  it('but not without end, if they fail themselves', () => {
    const { one } = workers();
    one.succeeded('192.0.2.1', 'alice');
    for (let i = 0; i < 20; i++) one.failed('192.0.2.1', '', false);
    expect(one.refuses('192.0.2.1', '', false)).toBe('host');
    expect(one.refuses('192.0.2.1', 'alice', false)).toBeUndefined();
  });

  it('are good while others guess at the user, and are no guesses at him', () => {
    const { one } = workers();
    for (let i = 0; i < 10; i++) one.failed(`198.51.${i}.1`, 'alice');
    expect(one.refuses('203.0.113.1', 'alice', false)).toBeUndefined();
    for (let i = 0; i < 10; i++) one.failed(`198.51.${i}.1`, 'bob', false);
    expect(one.refuses('203.0.113.1', 'bob')).toBeUndefined();
  });
});
