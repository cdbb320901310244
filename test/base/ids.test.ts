import { expect, test } from 'vitest';
import { isQueueId, newQueueId, newSessionId } from '../../src/base/ids.js';

test('queue ids of one millisecond differ, and ids sort by time', () => {
  const same = new Set(Array.from({ length: 20_000 }, () => newQueueId(1_700_000_000_000)));
  expect(same.size).toBe(20_000);
  expect(newQueueId(1_700_000_000_000) < newQueueId(1_700_000_000_001)).toBe(true);
});

test('a queue id has 16 characters of one alphabet', () => {
  expect(isQueueId(newQueueId(Date.now()))).toBe(true);
  for (const no of ['', 'x', '0'.repeat(15), '0'.repeat(17), `${'0'.repeat(15)}i`, '../../etc/passwd']) {
    expect(isQueueId(no)).toBe(false);
  }
});

test('session ids do not repeat', () => {
  expect(newSessionId()).not.toBe(newSessionId());
});
