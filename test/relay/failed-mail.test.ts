import { describe, expect, it, onTestFinished, vi } from 'vitest';

import { minAttemptsToExpire } from '../../src/relay/retry-schedule.js';
import { RelayRig, routeTo } from './relay-rig.js';

const body = 'Subject: x\r\n\r\ntext\r\n';
const day = 86_400_000;

describe('mail that failed and nobody was told of', () => {
  it('is kept for as long as the config says since it failed, then removed with a log line', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date', 'performance'] });
    onTestFinished(() => void vi.useRealTimers());
    const rig = new RelayRig(routeTo([{ kind: 'maildir', path: '/dev/null/none' }]), {
      keepFailedMs: 3 * day,
    });
    // It arrived long ago and failed now: an expiry.
    const id = rig.spool.add(body, { arrivedAtMs: Date.now() - 10 * day }, minAttemptsToExpire);
    rig.start();
    await vi.waitFor(() => expect(rig.spool.settlements).toHaveLength(1));
    expect(rig.spool.show(id).state).toBe('failed');
    await vi.advanceTimersByTimeAsync(2 * day);
    expect(rig.spool.entries.size).toBe(1);
    await vi.advanceTimersByTimeAsync(day + 120_000);
    expect(rig.spool.entries.size).toBe(0);
    expect(rig.events('relay.failed-removed')).toMatchObject([{ qid: id, level: 40 }]);
  });

  it('F-30: is kept when the clock jumps, and the log says so once', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date', 'performance'] });
    onTestFinished(() => void vi.useRealTimers());
    let jumpMs = 0;
    const rig = new RelayRig(routeTo([{ kind: 'maildir', path: '/dev/null/none' }]), {
      keepFailedMs: 3 * day,
      now: () => Date.now() + jumpMs,
    });
    const id = rig.spool.add(body, { arrivedAtMs: Date.now() - 10 * day }, minAttemptsToExpire);
    rig.start();
    await vi.waitFor(() => expect(rig.spool.settlements).toHaveLength(1));
    jumpMs = 4 * day;
    await vi.advanceTimersByTimeAsync(300_000);
    expect(rig.spool.show(id).state).toBe('failed');
    expect(rig.events('relay.failed-kept')).toMatchObject([{ seconds: (4 * day) / 1000 }]);
  });
});
