import { describe, expect, it } from 'vitest';

import {
  afterSetBack,
  beginAttempt,
  holdMessage,
  isDone,
  newRecord,
  pendingRoutes,
  releaseMessage,
  retryMessage,
  settleAttempt,
  stateOf,
  toQueuedMessage,
} from '../../src/queue/transitions.js';
import { envelope, result } from './harness.js';

const twoRoutes = envelope({
  arrivedAtMs: 1000,
  recipients: [
    { address: 'a@example.test', route: 'office' },
    { address: 'b@example.test', route: 'store' },
    { address: 'c@example.test', route: 'office' },
  ],
});
const fresh = newRecord(twoRoutes, { bytes: 10, chunks: 1, crc32: 7 });

const dueAt = (record: ReturnType<typeof afterSetBack>): number[] =>
  record.routes.map(({ nextAttemptAtMs }) => nextAttemptAtMs);

describe('a message in the queue', () => {
  it('is active, due at its arrival, with its first attempt already counted', () => {
    expect(stateOf(fresh)).toBe('active');
    expect(toQueuedMessage('ID', fresh)).toMatchObject({
      attempts: 1,
      nextAttemptAtMs: 1000,
      state: 'active',
    });
    expect(pendingRoutes(fresh).map(({ route }) => route)).toEqual(['office', 'store']);
  });

  it('of two routes settles one of them and leaves the other as it was (F-26)', () => {
    const settled = settleAttempt(
      fresh,
      'office',
      [result('delivered', 'a@example.test'), result('pending', 'c@example.test')],
      9000,
    );
    expect(settled.recipients.map(({ state }) => state)).toEqual(['delivered', 'pending', 'pending']);
    expect(toQueuedMessage('ID', settled, 'office')).toMatchObject({ nextAttemptAtMs: 9000 });
    expect(toQueuedMessage('ID', settled, 'store')).toMatchObject({ nextAttemptAtMs: 1000, attempts: 1 });
    expect(stateOf(settled)).toBe('active');
  });

  it('is deferred once each pending route was tried', () => {
    const tried = settleAttempt(settleAttempt(fresh, 'office', [], 9000), 'store', [], 8000);
    expect(stateOf(tried)).toBe('deferred');
    expect(toQueuedMessage('ID', tried)).toMatchObject({ nextAttemptAtMs: 8000 });
  });

  it('counts the attempts of each route by itself', () => {
    const again = beginAttempt(fresh, 'store');
    expect(toQueuedMessage('ID', again, 'store').attempts).toBe(2);
    expect(toQueuedMessage('ID', again, 'office').attempts).toBe(1);
    expect(toQueuedMessage('ID', again).attempts).toBe(2);
  });

  it('a result for an address of another route changes nothing', () => {
    const settled = settleAttempt(fresh, 'store', [result('delivered', 'a@example.test')], 1);
    expect(settled.recipients.map(({ state }) => state)).toEqual(['pending', 'pending', 'pending']);
  });

  it('is failed when nothing is pending and somebody failed; delivered only when all are', () => {
    const office = [result('delivered', 'a@example.test'), result('failed', 'c@example.test')];
    const settled = settleAttempt(fresh, 'office', office, 1);
    const done = settleAttempt(settled, 'store', [result('delivered', 'b@example.test')], 1);
    expect(stateOf(done)).toBe('failed');
    expect(isDone(done)).toBe(false);
    const retried = retryMessage(done, 50_000);
    expect(stateOf(retried)).toBe('deferred');
    expect(retried.recipients.map(({ state }) => state)).toEqual(['delivered', 'delivered', 'pending']);
  });

  it('stays held through the end of an attempt, and is due at once when released', () => {
    const held = settleAttempt(holdMessage(fresh), 'office', [], 9_000_000);
    expect(stateOf(held)).toBe('held');
    const released = releaseMessage(held, 2000);
    expect(stateOf(released)).toBe('active');
    expect(toQueuedMessage('ID', released, 'office').nextAttemptAtMs).toBe(2000);
    expect(toQueuedMessage('ID', released, 'store').nextAttemptAtMs).toBe(1000);
  });

  it('keeps of a reply one line of printable ASCII, at most 512 characters', () => {
    const lastReply = `550 bad\r\n\u001b[31mü${'x'.repeat(600)}`;
    const [recipient] = settleAttempt(
      fresh,
      'office',
      [{ address: 'a@example.test', state: 'failed', lastReply }],
      1,
    ).recipients;
    expect(recipient?.lastReply).toMatch(/^550 bad\?\?\?\[31m\?x+$/);
    expect(recipient?.lastReply.length).toBe(512);
  });

  describe('after the clock was set back (F-30)', () => {
    it('is due at once where it came in what is now the future', () => {
      const { arrivedAtMs } = fresh;
      expect(dueAt(afterSetBack(fresh, arrivedAtMs - 3_600_000))).toEqual([
        arrivedAtMs - 3_600_000,
        arrivedAtMs - 3_600_000,
      ]);
    });

    it('waits as long as it was to wait after its last attempt', () => {
      const attempt = { route: 'office', atMs: 5_000_000, hop: 'h:25', reply: '450 later' };
      const tried = settleAttempt(fresh, 'office', [], 5_900_000, { attempt });
      expect(dueAt(afterSetBack(tried, 2_000_000))[0]).toBe(2_900_000);
    });

    it('is left alone where nothing of it lies in the future', () => {
      expect(afterSetBack(fresh, fresh.arrivedAtMs)).toBe(fresh);
    });
  });
});
