import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { KnownLogins } from '../../src/base/known-logins.js';
import { keyScope } from '../../src/base/tallies.js';
import { LoginGuard, type LoginKeys } from '../../src/worker/login-guard.js';
import { LoginTurns, type Place, type Turn, type TurnAnswer } from '../../src/worker/login-turns.js';

const limits = { host: 20, network: 60, account: 10 };

let guard: LoginGuard;
let turns: LoginTurns;
/** How often a count was looked up. */
let lookUps = 0;

beforeEach(() => {
  vi.useFakeTimers();
  const counts = new Map<string, number>();
  const failures = {
    isFull: (_: string, key: string, more = 0) => {
      lookUps++;
      return (counts.get(key) ?? 0) + more >= limits[keyScope(key)];
    },
    count: (_: string, key: string) => void counts.set(key, (counts.get(key) ?? 0) + 1),
  };
  guard = new LoginGuard({ failures, known: new KnownLogins(), exempt: ['127.0.0.0/8'] });
  turns = new LoginTurns(guard);
});

afterEach(() => {
  vi.useRealTimers();
});

interface Asked {
  readonly address: string;
  answer: TurnAnswer | undefined;
  place?: Place;
}

function keysOf(address: string, user: string): LoginKeys {
  return guard.keysOf({ address, user, isGuess: true });
}

async function begin(asked: Asked, user: string): Promise<void> {
  const begun = turns.begin(keysOf(asked.address, user));
  if (begun.kind === 'place') asked.place = begun;
  asked.answer = begun.kind === 'place' ? await begun.answer : begun;
}

/** Each from a network of its own. */
async function ask(count: number, user: string, network = (number: number) => `198.51.${number}.1`) {
  const asked: Asked[] = [];
  for (let number = 0; number < count; number++) {
    const one: Asked = { address: network(number), answer: undefined };
    asked.push(one);
    void begin(one, user);
  }
  await settled();
  return asked;
}

/** Answers of promises have arrived. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await Promise.resolve();
}

function kinds(asked: readonly Asked[]): Record<string, number> {
  const found: Record<string, number> = {};
  for (const { answer } of asked) {
    const kind = answer === undefined ? 'waits' : answer.kind;
    found[kind] = (found[kind] ?? 0) + 1;
  }
  return found;
}

function turnsOf(asked: readonly Asked[]): (Turn & { readonly address: string })[] {
  return asked.flatMap(({ address, answer }) => (answer?.kind === 'turn' ? [{ ...answer, address }] : []));
}

describe('many guesses at once (A-103)', () => {
  it('get no further than as many one after another: ten at an account, then none', async () => {
    const asked = await ask(100, 'alice');
    expect(kinds(asked)).toEqual({ turn: 10, waits: 90 });
    for (const { address, end } of turnsOf(asked)) {
      guard.failed(keysOf(address, 'alice'));
      end();
    }
    await settled();
    expect(kinds(asked)).toEqual({ turn: 10, refused: 90 });
  });

  it('twenty from a client, whatever names it tries', async () => {
    const asked: Asked[] = [];
    for (let number = 0; number < 30; number++)
      asked.push(...(await ask(1, `user${number}`, () => '192.0.2.1')));
    expect(kinds(asked)).toEqual({ turn: 20, waits: 10 });
  });
});

describe('many who are right at once', () => {
  it('all get in, each in his turn, in the order in which they came', async () => {
    const asked = await ask(35, 'alice');
    for (let round = 0; round < 4; round++) {
      const open = turnsOf(asked).slice(round * 10);
      expect(open.map(({ address }) => address)).toEqual(
        asked.slice(round * 10, round * 10 + 10).map(({ address }) => address),
      );
      for (const { end } of open) end();
      await settled();
    }
    expect(kinds(asked)).toEqual({ turn: 35 });
  });

  it('do not wait in a network that is not counted', async () => {
    expect(kinds(await ask(50, 'alice', (number) => `127.0.0.${number + 1}`))).toEqual({ turn: 50 });
  });

  it('and leave nothing behind', async () => {
    for (const { end } of turnsOf(await ask(10, 'alice'))) end();
    expect(kinds(await ask(10, 'alice'))).toEqual({ turn: 10 });
  });
});

describe('the line', () => {
  it('is waited in for ten seconds at most', async () => {
    const asked = await ask(11, 'alice');
    vi.advanceTimersByTime(9_999);
    await settled();
    expect(kinds(asked)).toEqual({ turn: 10, waits: 1 });
    vi.advanceTimersByTime(1);
    await settled();
    expect(kinds(asked)).toEqual({ turn: 10, busy: 1 });
  });

  it('has a thousand places', async () => {
    const asked = await ask(1_020, 'alice', (number) => `10.${number >> 8}.${number & 255}.1`);
    expect(kinds(asked)).toEqual({ turn: 10, waits: 1_000, busy: 10 });
  });

  it('is left by who has gone: his place is free for others, and no turn is spent on him (A-103)', async () => {
    const asked = await ask(1_010, 'alice', (number) => `10.${number >> 8}.${number & 255}.1`);
    for (const { place } of asked.slice(10, 1_009)) place?.leave();
    await settled();
    expect(kinds(asked)).toEqual({ turn: 10, busy: 999, waits: 1 });
    const newcomers = await ask(10, 'alice');
    expect(kinds(newcomers)).toEqual({ waits: 10 });
    for (const { end } of turnsOf(asked)) end();
    await settled();
    expect([kinds(asked), kinds(newcomers)]).toEqual([
      { turn: 11, busy: 999 },
      { turn: 9, waits: 1 },
    ]);
  });

  it('cannot be left twice, nor a turn be lost by leaving behind it', async () => {
    const asked = await ask(11, 'alice');
    for (const { end } of turnsOf(asked)) end();
    await settled();
    asked[10]?.place?.leave();
    await settled();
    expect(kinds(asked)).toEqual({ turn: 11 });
  });

  it('is gone through once for all checks that end together', async () => {
    const asked = await ask(510, 'alice', (number) => `10.${number >> 8}.${number & 255}.1`);
    lookUps = 0;
    for (const { end } of turnsOf(asked)) end();
    await settled();
    expect(kinds(asked)).toEqual({ turn: 20, waits: 490 });
    // Three keys each, looked up for what failed and for what may.
    expect(lookUps).toBeLessThanOrEqual(500 * 3 * 2);
  });
});
