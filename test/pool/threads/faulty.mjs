// A thread entry that misbehaves on demand: the first zone of a DNSBL task says how.
import { setTimeout as sleep } from 'node:timers/promises';

const behaviours = {
  echo: (input) => ({ kind: 'value', value: input }),
  slow: async (input) => {
    await sleep(input.timeoutMs);
    return { kind: 'value', value: [] };
  },
  deadline: () => ({ kind: 'timeout' }),
  fail: () => ({ kind: 'failed', message: 'on purpose' }),
  throw: () => {
    throw new Error('thrown on purpose');
  },
  spin: () => {
    for (;;);
  },
  exit: () => process.exit(3),
  swallow: () => {
    const hoard = [];
    for (;;) hoard.push(Array.from({ length: 100_000 }, Math.random));
  },
  later: (input) => {
    setTimeout(() => {
      throw new Error('thrown after the task');
    }, 10);
    return { kind: 'value', value: input };
  },
};

export default function run({ input }) {
  return behaviours[input.zones?.[0] ?? input.password](input);
}
