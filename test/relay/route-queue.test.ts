/** When a route's mail is tried: its rate, and clocks that jump. */
import { describe, expect, it, onTestFinished, vi } from 'vitest';

import { fakeHop, RelayRig, retry, routeTo, smtp, until } from './relay-rig.js';

const body = 'Subject: x\r\n\r\ntext\r\n';
const day = 86_400_000;

describe('a rate', () => {
  it('is kept, shared by the workers, and waiting for it is no attempt', async () => {
    let now = 1_000;
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => now);
    onTestFinished(() => clock.mockRestore());
    const hop = await fakeHop();
    const rig = new RelayRig(routeTo([smtp(hop.port)], { messagesPerSecond: 20 }), { workers: 4 });
    for (let i = 0; i < 12; i++) rig.spool.add(body);
    rig.start();
    await rig.settled(5);
    await until(() => rig.spool.leased === 0, 'no more is leased');
    expect(hop.messages).toHaveLength(5);
    expect([...rig.spool.entries.values()].map(({ message }) => message.attempts)).toEqual(
      Array.from({ length: 7 }, () => 1),
    );
    now += 400;
    rig.spool.onDue?.('out');
    await rig.settled(7);
    await until(() => rig.spool.leased === 0, 'no more is leased');
    expect(hop.messages).toHaveLength(7);
    now += 10_000;
    rig.spool.onDue?.('out');
    await rig.settled(12);
  });

  it('is waited for without being woken', async () => {
    const hop = await fakeHop();
    const rig = new RelayRig(routeTo([smtp(hop.port)], { messagesPerSecond: 10 }));
    for (let i = 0; i < 13; i++) rig.spool.add(body);
    rig.start();
    await rig.settled(13);
    expect(hop.messages).toHaveLength(13);
  });
});

it('F-30: expiry asks for attempts and age both, whatever the clock does', async () => {
  const hop = await fakeHop({ answers: { MAIL: '451 4.3.0 later' } });
  let shiftMs = 0;
  const rig = new RelayRig(routeTo([smtp(hop.port)], { retry: { ...retry, firstMs: 300, maxMs: 300 } }), {
    now: () => Date.now() + shiftMs,
  });
  rig.spool.add(body);
  rig.start();
  await rig.settled(1);
  // Ten years ahead: old at once, and tried once.
  shiftMs = 3650 * day;
  await rig.settled(2);
  expect(rig.spool.settlements[1]?.results[0]?.state).toBe('pending');
  // And back: due in ten years, and tried all the same.
  shiftMs = 0;
  await rig.settled(3);
  expect(rig.spool.settlements[2]?.results[0]?.state).toBe('pending');
});
