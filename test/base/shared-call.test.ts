import { describe, expect, it } from 'vitest';

import { SharedCall } from '../../src/base/shared-call.js';

function controlled(): { shared: SharedCall<number>; settle: ((fail?: Error) => void)[] } {
  const settle: ((fail?: Error) => void)[] = [];
  const shared = new SharedCall(
    () =>
      new Promise<number>((resolve, reject) => {
        const run = settle.length + 1;
        settle.push((fail) => (fail === undefined ? resolve(run) : reject(fail)));
      }),
  );
  return { shared, settle };
}

describe('a shared call', () => {
  it('who comes during a run gets the next one, all of them the same', async () => {
    const { shared, settle } = controlled();
    const first = shared.get();
    const late = [shared.get(), shared.get()];
    expect(settle).toHaveLength(1);
    settle[0]?.();
    expect(await first).toBe(1);
    await expect.poll(() => settle.length).toBe(2);
    settle[1]?.();
    expect(await Promise.all(late)).toEqual([2, 2]);
    const after = shared.get();
    settle[2]?.();
    expect(await after).toBe(3);
  });

  it('a run that fails fails for its own askers only', async () => {
    const { shared, settle } = controlled();
    const first = shared.get();
    const late = shared.get();
    settle[0]?.(new Error('broken'));
    await expect(first).rejects.toThrow('broken');
    await expect.poll(() => settle.length).toBe(2);
    settle[1]?.();
    expect(await late).toBe(2);
  });
});
