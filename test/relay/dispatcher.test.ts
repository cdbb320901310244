import { afterEach, describe, expect, it } from 'vitest';

import { FakeHop, type FakeHopOptions } from '../support/fake-hop.js';
import { Bench, lmtp, routeTo, smtp, until } from './relay-bench.js';

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

async function hop(options: FakeHopOptions = {}): Promise<FakeHop> {
  const fake = await new FakeHop(options).listen();
  closers.push(() => fake.close());
  return fake;
}

function started(bench: Bench): Bench {
  bench.dispatcher.start();
  closers.push(() => bench.dispatcher.stop(100));
  return bench;
}

const body = 'Received: from a by b; now\r\nSubject: x\r\n\r\n.dot\r\n..two\r\nend\r\n';

describe('one route', () => {
  it('delivers what is due at the start and what comes later', async () => {
    const sink = await hop();
    const bench = new Bench(routeTo([smtp(sink.port)]));
    bench.spool.add(body);
    started(bench);
    await bench.settled(1);
    bench.spool.add(body);
    await bench.settled(2);
    expect(sink.messages.map((message) => message.body.toString())).toEqual([body, body]);
    expect(bench.spool.entries.size).toBe(0);
  });

  it('delivers over LMTP', async () => {
    const sink = await hop({ protocol: 'lmtp' });
    const bench = started(new Bench(routeTo([lmtp(sink.port)])));
    bench.spool.add(body, {
      recipients: ['a', 'b'].map((name) => ({ address: `${name}@example.test`, route: 'out' })),
    });
    await bench.settled(1);
    await until(() => sink.messages.length === 1, 'the message');
    expect(sink.messages[0]?.recipients).toEqual(['a@example.test', 'b@example.test']);
    expect(bench.spool.entries.size).toBe(0);
  });
});
