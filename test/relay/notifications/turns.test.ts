import { expect, test } from 'vitest';

import { Turns } from '../../../src/relay/notifications/turns.js';

test('so many at once, the others in their order, and a failure gives its turn on', async () => {
  const turns = new Turns(2);
  const began: number[] = [];
  const finish: (() => void)[] = [];
  const tasks = [0, 1, 2, 3].map((n) =>
    turns.run(async () => {
      began.push(n);
      await new Promise<void>((resolve) => (finish[n] = resolve));
      if (n === 0) throw new Error('of this one alone');
    }),
  );
  const failed = expect(tasks[0]).rejects.toThrow('of this one alone');
  await Promise.resolve();
  expect(began).toEqual([0, 1]);
  finish[0]?.();
  await failed;
  expect(began).toEqual([0, 1, 2]);
  finish[2]?.();
  await tasks[2];
  expect(began).toEqual([0, 1, 2, 3]);
  finish[1]?.();
  finish[3]?.();
  await Promise.all([tasks[1], tasks[3]]);
});
