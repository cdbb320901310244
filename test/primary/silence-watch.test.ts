import { describe, expect, test } from 'vitest';

import { SilenceWatch } from '../../src/primary/silence-watch.js';

const boundMs = 30_000;

describe('F-15 which workers are silent', () => {
  test('who said something within the bound is left alone', () => {
    const watch = new SilenceWatch(boundMs, 0);
    const worker = { lastHeardMs: 0 };
    for (let nowMs = 1_000; nowMs <= boundMs; nowMs += 1_000) expect(watch.tick(nowMs, [worker])).toEqual([]);
    expect(watch.tick(boundMs + 1_000, [worker])).toEqual([worker]);
  });

  test('only the silent one is named', () => {
    const watch = new SilenceWatch(boundMs, 59_000);
    const silent = { lastHeardMs: 20_000 };
    const lively = { lastHeardMs: 59_500 };
    expect(watch.tick(60_000, [silent, lively])).toEqual([silent]);
  });

  test('when we were stopped ourselves nobody is blamed for the pause', () => {
    const watch = new SilenceWatch(boundMs, 0);
    const worker = { lastHeardMs: 500 };
    expect(watch.tick(120_000, [worker])).toEqual([]);
    expect(watch.tick(121_000, [worker])).toEqual([]);
    let nowMs = 121_000;
    while (nowMs < 149_000) expect(watch.tick((nowMs += 1_000), [worker])).toEqual([]);
    expect(watch.tick(150_000, [worker])).toEqual([worker]);
  });
});
