/** Workers without processes: what one has seen, all know. */
import { expect, test } from 'vitest';

import { accountKey } from '../../src/base/account-key.js';
import { KnownLogins } from '../../src/base/known-logins.js';
import type { ToWorker } from '../../src/base/messages.js';
import { LoginExchange } from '../../src/primary/login-exchange.js';
import type { WorkerProcess } from '../../src/primary/worker-process.js';

class FakeWorker {
  readonly known = new KnownLogins();
  readonly heard: number[] = [];
  readonly process = {
    send: (message: ToWorker) => {
      if (message.type !== 'known-logins') return;
      this.known.learn(message.keys);
      this.heard.push(message.keys.length);
    },
  } as unknown as WorkerProcess;
}

const alice = accountKey('alice');

function setUp(): {
  exchange: LoginExchange;
  workers: FakeWorker[];
  succeed: (at: FakeWorker, host: string) => void;
} {
  const workers = [new FakeWorker(), new FakeWorker()];
  const exchange = new LoginExchange(() => workers.map(({ process }) => process));
  const succeed = (at: FakeWorker, host: string): void => {
    at.known.add(alice, host);
    exchange.message(at.process, { type: 'known-logins', keys: at.known.takeNews() ?? [] });
  };
  return { exchange, workers, succeed };
}

test('what one worker has seen the others know, and it is not told what it said', () => {
  const { workers, succeed } = setUp();
  const [one, two] = workers;
  if (one === undefined || two === undefined) throw new Error('unreachable');
  succeed(one, '192.0.2.1');
  expect(two.known.knows(alice, '192.0.2.1')).toBe(true);
  expect([one.heard, two.heard]).toEqual([[], [2]]);
});

test('a worker that is new knows it too, when those who saw it are gone, in messages of bounded size', () => {
  const { exchange, workers, succeed } = setUp();
  const [one] = workers;
  if (one === undefined) throw new Error('unreachable');
  for (let host = 0; host < 3_000; host++) succeed(one, `10.0.${host >> 8}.${host & 255}`);
  const late = new FakeWorker();
  exchange.message(late.process, { type: 'ready' });
  expect(late.heard).toEqual([4_000, 2_000]);
  expect(late.known.knows(alice, '10.0.0.0')).toBe(true);
});
