import { describe, expect, it } from 'vitest';

import { RouteLanes, type Claimant } from '../../src/relay/route-lanes.js';

class Queue implements Claimant {
  woken = 0;
  granted = 0;
  readonly #lanes: RouteLanes;

  constructor(lanes: RouteLanes) {
    this.#lanes = lanes;
  }

  claim(wanted: number, ill = false): number {
    const granted = this.#lanes.claim(this, wanted, ill);
    this.granted += granted;
    return granted;
  }

  wake(): void {
    this.woken++;
    this.claim(1);
  }
}

describe('the lanes of a route', () => {
  it('are all for its only destination, or a quarter for each of several', () => {
    expect([new RouteLanes(20, false).share, new RouteLanes(20, true).share]).toEqual([20, 5]);
    expect(new RouteLanes(1, true).share).toBe(1);
  });

  it('are never more than there are; who got none is woken in line', () => {
    const lanes = new RouteLanes(3, true);
    const [a, b, c] = [new Queue(lanes), new Queue(lanes), new Queue(lanes)];
    expect([a.claim(5), b.claim(1), c.claim(1)]).toEqual([3, 0, 0]);
    lanes.release(false);
    expect([b.woken, b.granted, c.woken]).toEqual([1, 1, 0]);
    lanes.release(false);
    expect([c.woken, c.granted]).toEqual([1, 1]);
  });

  it('who asks again while he waits keeps his place', () => {
    const lanes = new RouteLanes(1, true);
    const [a, b, c] = [new Queue(lanes), new Queue(lanes), new Queue(lanes)];
    a.claim(1);
    b.claim(1);
    c.claim(1);
    b.claim(1);
    lanes.release(false);
    expect([b.granted, c.granted]).toEqual([1, 0]);
  });

  it('for destinations that are ill are half, and the others go first', () => {
    const lanes = new RouteLanes(4, true);
    const ill = Array.from({ length: 3 }, () => new Queue(lanes));
    expect(ill.map((queue) => queue.claim(1, true))).toEqual([1, 1, 0]);
    const well = new Queue(lanes);
    expect(well.claim(9)).toBe(2);
    lanes.release(true);
    expect(ill[2]?.woken).toBe(1);
  });

  it('are given up after a turn when others wait, and kept when nobody does', () => {
    const lanes = new RouteLanes(1, true);
    const [a, b] = [new Queue(lanes), new Queue(lanes)];
    a.claim(1);
    expect(lanes.mustYield(1_000)).toBe(false);
    b.claim(1);
    expect([lanes.mustYield(9), lanes.mustYield(10)]).toEqual([false, true]);
    lanes.leave(b);
    expect(lanes.mustYield(1_000)).toBe(false);
  });

  it('one that is woken and wants none does not keep the next from its lane', () => {
    const lanes = new RouteLanes(1, true);
    const a = new Queue(lanes);
    a.claim(1);
    let asked = 0;
    lanes.claim({ wake: () => asked++ }, 1, false);
    const c = new Queue(lanes);
    c.claim(1);
    lanes.release(false);
    expect([asked, c.granted]).toEqual([1, 1]);
  });
});
