import { describe, expect, it } from 'vitest';
import { BackendGate, type BackendBounds } from '../../src/auth/backend-gate.js';
import type { Backend } from '../../src/auth/backend.js';
import { PosternError, type ErrorCode } from '../../src/base/errors.js';
import type { BackendAnswer, BackendLogin } from '../../src/policy/login.js';

interface Asked {
  readonly signal: AbortSignal;
  answer(answer: BackendAnswer): void;
  fail(error: Error): void;
}

/** A gate before a backend that the test answers for. */
class Bench {
  readonly asked: Asked[] = [];
  readonly seen: string[] = [];
  readonly events: string[] = [];
  nowMs = 0;
  readonly gate: BackendGate<BackendLogin, BackendAnswer>;

  constructor(bounds: Partial<BackendBounds> = {}) {
    const backend: Backend = {
      name: 'http',
      ask: (_, signal) =>
        new Promise((resolve, reject) => {
          this.asked.push({ signal, answer: resolve, fail: reject });
          signal.addEventListener('abort', () => reject(new Error('aborted')));
        }),
      close: () => undefined,
    };
    this.gate = new BackendGate({
      backend,
      bounds: { timeoutMs: 10_000, concurrent: 2, waiting: 2, ...bounds },
      observe: (result) => this.seen.push(result),
      down: (error, restMs) => this.events.push(`down ${error.code} ${restMs}`),
      up: () => this.events.push('up'),
      now: () => this.nowMs,
    });
  }

  ask(first = false): Promise<BackendAnswer | string> {
    return this.gate
      .ask(login, first)
      .catch((error: unknown) => (error instanceof PosternError ? error.code : 'bug'));
  }

  /** Asks, and lets it fail. */
  async failing(code: ErrorCode): Promise<BackendAnswer | string> {
    const answer = this.ask();
    this.asked.at(-1)?.fail(new PosternError(code, 'on purpose'));
    return answer;
  }
}

const login: BackendLogin = {
  mechanism: 'PLAIN',
  user: 'alice',
  password: 'tiger',
  origin: { address: '192.0.2.1', listener: 'submission', sessionId: 's', isKnown: false },
};
const ok: BackendAnswer = { kind: 'ok', user: 'alice' };

describe('the gate before a backend', () => {
  it('lets so many through at once, so many wait, and refuses the rest at once (A-103)', async () => {
    const bench = new Bench();
    const answers = [bench.ask(), bench.ask(), bench.ask(), bench.ask()];
    expect(await bench.ask()).toBe('AUTH_FULL');
    expect(bench.asked).toHaveLength(2);
    for (let i = 0; i < 4; i++) {
      bench.asked[i]?.answer(ok);
      expect(await answers[i]).toEqual(ok);
    }
    expect(bench.seen).toEqual(['AUTH_FULL', 'ok', 'ok', 'ok', 'ok']);
  });

  it('asks for those first who go first', async () => {
    const bench = new Bench({ concurrent: 1, waiting: 1 });
    const running = bench.ask();
    const stranger = bench.ask();
    const known = bench.ask(true);
    for (const [at, answer] of [running, known, stranger].entries()) {
      bench.asked[at]?.answer(ok);
      expect(await answer).toEqual(ok);
    }
  });

  it('ends a question at its deadline, and the ones in the line at theirs', async () => {
    const bench = new Bench({ timeoutMs: 20, concurrent: 1 });
    const answers = await Promise.all([bench.ask(), bench.ask()]);
    expect(answers).toEqual(['AUTH_TIMEOUT', 'AUTH_TIMEOUT']);
    expect(bench.asked[0]?.signal.aborted).toBe(true);
  });

  it('asks no more after three silences, and tells those who wait at once', async () => {
    const bench = new Bench({ concurrent: 1, waiting: 9 });
    const answers = Array.from({ length: 5 }, () => bench.ask());
    for (let i = 0; i < 3; i++) {
      bench.asked[i]?.fail(new PosternError('AUTH_UNREACHABLE', 'on purpose'));
      await answers[i];
    }
    expect(await Promise.all(answers)).toEqual([
      'AUTH_UNREACHABLE',
      'AUTH_UNREACHABLE',
      'AUTH_UNREACHABLE',
      'AUTH_RESTING',
      'AUTH_RESTING',
    ]);
    expect(await bench.ask()).toBe('AUTH_RESTING');
    expect(bench.gate.isDown).toBe(true);
    expect(bench.events).toEqual(['down AUTH_UNREACHABLE 1000']);
  });

  it('probes once when the rest is over, and lets all through again when it is answered', async () => {
    const bench = new Bench();
    for (let i = 0; i < 3; i++) await bench.failing('AUTH_UNREACHABLE');
    bench.nowMs = 1_000;
    const probe = bench.ask();
    expect(await bench.ask()).toBe('AUTH_RESTING');
    bench.asked.at(-1)?.answer({ kind: 'failed' });
    expect(await probe).toEqual({ kind: 'failed' });
    const after = bench.ask();
    bench.asked.at(-1)?.answer(ok);
    expect(await after).toEqual(ok);
    expect(bench.events).toEqual(['down AUTH_UNREACHABLE 1000', 'up']);
  });

  it.each(['AUTH_TEMPORARY', 'AUTH_PROTOCOL'] as const)(
    'goes on asking after any number of %s: what a client can provoke locks nobody out',
    async (code) => {
      const bench = new Bench();
      for (let i = 0; i < 10; i++) expect(await bench.failing(code)).toBe(code);
      expect(bench.events).toEqual([]);
    },
  );

  it('hides no fault of ours', async () => {
    const bench = new Bench();
    const answer = bench.ask();
    bench.asked[0]?.fail(new TypeError('a bug'));
    expect(await answer).toBe('bug');
    expect(bench.seen).toEqual([]);
  });
});
