import { describe, expect, it } from 'vitest';
import { KnownLogins } from '../../src/base/known-logins.js';
import { keyScope } from '../../src/base/tallies.js';
import { LoginGuard } from '../../src/worker/login-guard.js';

const limits = { host: 20, network: 60, account: 10 };

/** Guards of two workers, with one count for both, as the primary makes it in a quarter of a second. */
function workers(exempt: readonly string[] = []): { one: LoginGuard; two: LoginGuard; tell: () => void } {
  const counts = new Map<string, number>();
  const failures = {
    isFull: (_: string, key: string) => (counts.get(key) ?? 0) >= limits[keyScope(key)],
    count: (_: string, key: string) => void counts.set(key, (counts.get(key) ?? 0) + 1),
  };
  const [one, two] = [0, 1].map(() => new LoginGuard({ failures, known: new KnownLogins(), exempt }));
  if (one === undefined || two === undefined) throw new Error('unreachable');
  return { one, two, tell: () => two.learn(one.takeNews() ?? []) };
}

function fail(guard: LoginGuard, times: number, address: string, user: (time: number) => string): void {
  for (let time = 0; time < times; time++) guard.failed(address, user(time));
}

describe('limits on guessing (A-103)', () => {
  it('refuse a client after 20 failures in a minute, at connect and at AUTH, whatever names it tries', () => {
    const { one, two } = workers();
    fail(one, 19, '192.0.2.1', (time) => `user${time}`);
    expect([two.refuses('192.0.2.1', 'x'), two.refusesConnection('192.0.2.1')]).toEqual([undefined, false]);
    fail(one, 1, '192.0.2.1', () => '');
    expect([two.refuses('192.0.2.1', 'x'), two.refusesConnection('192.0.2.1')]).toEqual(['network', true]);
    expect([two.refuses('192.0.2.2', 'x'), two.refusesConnection('192.0.2.2')]).toEqual([undefined, false]);
  });

  it('count an IPv6 client by its /64, and neighbours together up to their own limit', () => {
    const { one } = workers();
    for (let i = 0; i < 20; i++) one.failed(`2001:db8:1:2::${i}`, `user${i}`);
    expect(one.refuses('2001:db8:1:2::ffff', 'x')).toBe('network');
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
    expect(one.refuses('192.0.2.1', 'bob')).toBe('network');
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
    expect(one.takeNews()).toBeUndefined();
  });

  it('tell of a success once', () => {
    const { one } = workers();
    one.succeeded('192.0.2.1', 'alice');
    one.succeeded('192.0.2.1', 'alice');
    expect(one.takeNews()).toHaveLength(2);
    expect(one.takeNews()).toBeUndefined();
  });
});
