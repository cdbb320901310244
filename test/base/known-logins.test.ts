import { describe, expect, it } from 'vitest';
import { accountKey } from '../../src/base/account-key.js';
import { KnownLogins } from '../../src/base/known-logins.js';

const alice = accountKey('alice');
const bob = accountKey('bob');

/** What others hear of a log-in. */
function told(known: KnownLogins, account: string): string[] {
  known.add(account, '192.0.2.1');
  return known.takeNews() ?? [];
}

describe('log-ins that are known', () => {
  it('are those of one account from one network', () => {
    const known = new KnownLogins();
    known.add(alice, '192.0.2.1');
    expect(known.knows(alice, '192.0.2.1')).toBe(true);
    expect(known.knows(alice, '192.0.2.2')).toBe(false);
    expect(known.knows(bob, '192.0.2.1')).toBe(false);
    expect([known.knowsHost('192.0.2.1'), known.knowsHost('192.0.2.2')]).toEqual([true, false]);
  });

  it('are told to others once, and learned from them', () => {
    const [here, there] = [new KnownLogins(), new KnownLogins()];
    there.learn(told(here, alice));
    expect(there.knows(alice, '192.0.2.1')).toBe(true);
    expect(told(here, alice)).toEqual([]);
    expect(told(there, alice)).toEqual([]);
    expect(told(here, bob)).toHaveLength(1);
    expect(here.takeNews()).toBeUndefined();
  });

  it('are told in bounded number', () => {
    const known = new KnownLogins();
    for (let client = 0; client < 1_000; client++) known.add(alice, `host ${client}`);
    expect(known.takeNews()).toHaveLength(1_000);
  });

  it('are all there for a process that begins', () => {
    const [here, there] = [new KnownLogins(), new KnownLogins()];
    here.add(alice, '192.0.2.1');
    here.add(bob, '192.0.2.2');
    there.learn(here.keys());
    expect(there.keys()).toEqual(here.keys());
    expect(there.knows(bob, '192.0.2.2')).toBe(true);
  });

  it('are bounded: the oldest are forgotten', () => {
    const known = new KnownLogins({ max: 4, ttl: 86_400_000 });
    for (const host of ['192.0.2.1', '192.0.2.2', '192.0.2.3']) known.add(alice, host);
    expect(known.keys()).toHaveLength(4);
    expect(known.knows(alice, '192.0.2.1')).toBe(false);
    expect(known.knows(alice, '192.0.2.3')).toBe(true);
  });
});
