import { describe, expect, it } from 'vitest';

import { PosternError } from '../../src/base/errors.js';
import { DnsblCheck, type DnsblSettings } from '../../src/policy/dnsbl-check.js';
import type { DnsblAnswer, DnsblTask } from '../../src/policy/dnsbl.js';

const config: DnsblSettings = {
  lists: [
    { zone: 'a.test', weight: 2, replies: ['127.0.0.2'] },
    { zone: 'b.test', weight: 1, replies: ['127.0.0.2'] },
  ],
  reject: 2,
  defer: 1,
  timeoutMs: 3_000,
  cacheEntries: 3,
  minTtlMs: 60_000,
  maxTtlMs: 3_600_000,
  negativeTtlMs: 300_000,
};

const none: DnsblAnswer = { kind: 'none' };
const timeout: DnsblAnswer = { kind: 'timeout' };

function listed(ttlSeconds: number): DnsblAnswer {
  return { kind: 'answer', addresses: ['127.0.0.2'], ttlSeconds };
}

/** A check with its own clock, a DNS that answers by zone, and what was asked and counted. */
class Bench {
  nowMs = 1_000_000;
  answers: Record<string, DnsblAnswer> = { 'a.test': none, 'b.test': none };
  failure: Error | undefined;
  readonly asked: DnsblTask[] = [];
  readonly #counts = new Map<string, { value: number }>();
  readonly check: DnsblCheck;

  constructor(settings: Partial<DnsblSettings> = {}) {
    this.check = new DnsblCheck({
      config: { ...config, ...settings },
      servers: ['127.0.0.1:5353'],
      ask: (task) => this.#ask(task),
      meters: { dnsblLookupsTotal: { of: (list, result) => this.#cell(`${list} ${result}`) } },
      nowMs: () => this.nowMs,
    });
  }

  /** Counts since the last call. */
  counts(): Record<string, number> {
    const counts = Object.fromEntries([...this.#counts].map(([key, cell]) => [key, cell.value]));
    this.#counts.clear();
    return counts;
  }

  zonesAsked(): string[][] {
    return this.asked.map((task) => [...task.zones]);
  }

  #cell(key: string): { value: number } {
    const cell = this.#counts.get(key) ?? { value: 0 };
    this.#counts.set(key, cell);
    return cell;
  }

  async #ask(task: DnsblTask): Promise<DnsblAnswer[]> {
    this.asked.push(task);
    await Promise.resolve();
    if (this.failure !== undefined) throw this.failure;
    return task.zones.map((zone) => this.answers[zone] ?? none);
  }
}

describe('asking the DNSBLs', () => {
  it('asks all lists in one task and judges their answers', async () => {
    const bench = new Bench();
    bench.answers = { 'a.test': listed(600), 'b.test': none };
    expect(bench.check.peek('192.0.2.1')).toBeUndefined();
    expect(await bench.check.check('192.0.2.1')).toEqual({
      kind: 'reject',
      zone: 'a.test',
      zones: ['a.test'],
    });
    expect(bench.asked).toEqual([
      { address: '192.0.2.1', zones: ['a.test', 'b.test'], servers: ['127.0.0.1:5353'], timeoutMs: 3_000 },
    ]);
    expect(bench.counts()).toEqual({ 'a.test listed': 1, 'b.test clear': 1 });
  });

  it('answers the second connection from the cache, at once', async () => {
    const bench = new Bench();
    bench.answers = { 'a.test': listed(600), 'b.test': none };
    await bench.check.check('192.0.2.1');
    bench.counts();
    expect(bench.check.peek('192.0.2.1')).toMatchObject({ kind: 'reject' });
    expect(await bench.check.check('192.0.2.1')).toMatchObject({ kind: 'reject' });
    expect(bench.asked).toHaveLength(1);
    expect(bench.counts()).toEqual({ 'a.test cached': 2, 'b.test cached': 2 });
  });

  it('asks once for those who ask for the same client at the same time', async () => {
    const bench = new Bench();
    const verdicts = await Promise.all(
      ['192.0.2.1', '192.0.2.1', '192.0.2.2'].map((a) => bench.check.check(a)),
    );
    expect(verdicts).toEqual([{ kind: 'pass' }, { kind: 'pass' }, { kind: 'pass' }]);
    expect(bench.asked.map((task) => task.address)).toEqual(['192.0.2.1', '192.0.2.2']);
  });

  it('asks again only the lists whose answer has run out', async () => {
    const bench = new Bench();
    bench.answers = { 'a.test': listed(600), 'b.test': none };
    await bench.check.check('192.0.2.1');
    bench.nowMs += config.negativeTtlMs;
    bench.counts();
    bench.answers = { 'a.test': none, 'b.test': listed(600) };
    expect(bench.check.peek('192.0.2.1')).toBeUndefined();
    expect(await bench.check.check('192.0.2.1')).toMatchObject({
      kind: 'reject',
      zones: ['a.test', 'b.test'],
    });
    expect(bench.zonesAsked()).toEqual([['a.test', 'b.test'], ['b.test']]);
    expect(bench.counts()).toEqual({ 'a.test cached': 1, 'b.test listed': 1 });
    bench.nowMs += 600_000 - config.negativeTtlMs;
    expect(await bench.check.check('192.0.2.1')).toMatchObject({ kind: 'defer', zones: ['b.test'] });
  });

  const ttls: [answer: DnsblAnswer, keptMs: number, why: string][] = [
    [listed(600), 600_000, 'the TTL of the answer'],
    [listed(1), config.minTtlMs, 'not shorter than minTtl'],
    [listed(0), config.minTtlMs, 'not even for a TTL of 0'],
    [listed(86_400), config.maxTtlMs, 'not longer than maxTtl'],
    [none, config.negativeTtlMs, 'negativeTtl for who is not listed'],
    [timeout, 10_000, 'a moment for a list that does not answer'],
    [{ kind: 'error', code: 'ESERVFAIL' }, 10_000, 'or fails'],
    [{ kind: 'answer', addresses: ['127.255.255.254'], ttlSeconds: 86_400 }, 10_000, 'or refuses to answer'],
  ];
  it.each(ttls.map(([answer, keptMs, why]) => ({ answer, keptMs, why })))(
    'keeps an answer for $keptMs ms: $why',
    async ({ answer, keptMs }) => {
      const bench = new Bench();
      // The other list's answer is kept longest.
      bench.answers = { 'a.test': answer, 'b.test': listed(86_400) };
      await bench.check.check('192.0.2.1');
      bench.nowMs += keptMs - 1;
      expect(bench.check.peek('192.0.2.1')).toBeDefined();
      bench.nowMs += 1;
      expect(bench.check.peek('192.0.2.1')).toBeUndefined();
    },
  );

  it('forgets the client that was not seen for longest when the cache is full (A-053)', async () => {
    const bench = new Bench();
    for (const address of ['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4'])
      await bench.check.check(address);
    expect(bench.check.peek('192.0.2.1')).toBeUndefined();
    expect(bench.check.peek('192.0.2.2')).toBeDefined();
  });
});

describe('cacheEntries: 0', () => {
  it('asks for each connection anew', async () => {
    const bench = new Bench({ cacheEntries: 0 });
    await bench.check.check('192.0.2.1');
    expect(bench.check.peek('192.0.2.1')).toBeUndefined();
    await bench.check.check('192.0.2.1');
    expect(bench.asked).toHaveLength(2);
  });
});

describe('when DNS or the pool is in trouble', () => {
  it('lets the client pass and counts the time-outs (F-17)', async () => {
    const bench = new Bench();
    bench.answers = { 'a.test': timeout, 'b.test': timeout };
    expect(await bench.check.check('192.0.2.1')).toEqual({ kind: 'pass' });
    expect(bench.counts()).toEqual({ 'a.test timeout': 1, 'b.test timeout': 1 });
  });

  it.each([
    ['POOL_FULL', 'error'],
    ['POOL_TIMEOUT', 'timeout'],
    ['POOL_TASK', 'error'],
  ] as const)(
    'lets the client pass on %s, counts it as %s and asks again next time (F-21)',
    async (code, result) => {
      const bench = new Bench();
      bench.failure = new PosternError(code, 'on purpose');
      expect(await bench.check.check('192.0.2.1')).toEqual({ kind: 'pass' });
      expect(bench.counts()).toEqual({ [`a.test ${result}`]: 1, [`b.test ${result}`]: 1 });
      bench.failure = undefined;
      bench.answers = { 'a.test': listed(600), 'b.test': none };
      expect(await bench.check.check('192.0.2.1')).toMatchObject({ kind: 'reject' });
    },
  );

  it('keeps what it knew of the other lists while one cannot be asked', async () => {
    const bench = new Bench();
    bench.answers = { 'a.test': listed(3_600), 'b.test': none };
    await bench.check.check('192.0.2.1');
    bench.nowMs += config.negativeTtlMs;
    bench.failure = new PosternError('POOL_FULL', 'on purpose');
    expect(await bench.check.check('192.0.2.1')).toMatchObject({ kind: 'reject', zones: ['a.test'] });
  });

  it('leaves a list out after twenty failures in a row, and finds out when it is back (F-17)', async () => {
    const bench = new Bench();
    bench.answers = { 'a.test': timeout, 'b.test': listed(600) };
    for (let i = 0; i < 20; i++) await bench.check.check(`192.0.2.${i}`);
    bench.counts();
    // Left out, counted as what it was, and the other list still counts.
    expect(await bench.check.check('192.0.2.100')).toMatchObject({ kind: 'defer', zones: ['b.test'] });
    expect(bench.asked.at(-1)?.zones).toEqual(['b.test']);
    expect(bench.counts()).toEqual({ 'a.test timeout': 1, 'b.test listed': 1 });
    // One question every five seconds, and no more.
    bench.nowMs += 5_000;
    await bench.check.check('192.0.2.101');
    await bench.check.check('192.0.2.102');
    expect(bench.zonesAsked().slice(-2)).toEqual([['a.test', 'b.test'], ['b.test']]);
    bench.answers = { 'a.test': listed(600), 'b.test': none };
    bench.nowMs += 5_000;
    expect(await bench.check.check('192.0.2.103')).toMatchObject({ kind: 'reject' });
    expect(await bench.check.check('192.0.2.104')).toMatchObject({ kind: 'reject' });
  });

  it('asks the pool nothing while all lists are left out', async () => {
    const bench = new Bench();
    bench.answers = { 'a.test': timeout, 'b.test': { kind: 'error', code: 'ESERVFAIL' } };
    for (let i = 0; i < 20; i++) await bench.check.check(`192.0.2.${i}`);
    bench.counts();
    expect(await bench.check.check('192.0.2.100')).toEqual({ kind: 'pass' });
    expect(bench.asked).toHaveLength(20);
    expect(bench.counts()).toEqual({ 'a.test timeout': 1, 'b.test error': 1 });
  });

  it('takes an answer in between for a list that is well', async () => {
    const bench = new Bench();
    for (let i = 0; i < 60; i++) {
      bench.answers = { 'a.test': i % 19 === 18 ? none : timeout, 'b.test': none };
      await bench.check.check(`192.0.2.${i}`);
    }
    expect(bench.zonesAsked().every((zones) => zones.length === 2)).toBe(true);
  });

  it('does not blame the lists for the pool (F-21)', async () => {
    const bench = new Bench();
    bench.failure = new PosternError('POOL_FULL', 'on purpose');
    for (let i = 0; i < 40; i++) await bench.check.check(`192.0.2.${i}`);
    expect(bench.asked).toHaveLength(40);
  });

  it('does not hide a fault of ours', async () => {
    const bench = new Bench();
    bench.failure = new TypeError('a bug');
    await expect(bench.check.check('192.0.2.1')).rejects.toThrow('a bug');
    bench.failure = undefined;
    expect(await bench.check.check('192.0.2.1')).toEqual({ kind: 'pass' });
  });
});
