import { describe, expect, it } from 'vitest';

import { Lane, type Entry } from '../../src/base/lane.js';

function entries(count: number): { started: number[]; all: Entry[] } {
  const started: number[] = [];
  return { started, all: Array.from({ length: count }, (_, i) => ({ start: () => started.push(i) })) };
}

describe('a lane', () => {
  it('starts at once what has room, keeps the rest in line, and refuses when the line is full', () => {
    const lane = new Lane(2, 2);
    const { started, all } = entries(5);
    expect(all.map((entry) => lane.enter(entry))).toEqual([true, true, true, true, false]);
    expect(started).toEqual([0, 1]);
    expect(lane.waiting).toBe(2);
  });

  it('gives the place of one that is done to the next in line', () => {
    const lane = new Lane(1, 3);
    const { started, all } = entries(3);
    for (const entry of all) lane.enter(entry);
    for (const entry of all) lane.leave(entry);
    expect(started).toEqual([0, 1, 2]);
    expect(lane.waiting).toBe(0);
  });

  it('lets one leave from the middle of the line without starting anybody', () => {
    const lane = new Lane(1, 3);
    const { started, all } = entries(3);
    for (const entry of all) lane.enter(entry);
    const [first, second] = all;
    if (first === undefined || second === undefined) throw new Error('three entries were made');
    lane.leave(second);
    expect(started).toEqual([0]);
    lane.leave(first);
    expect(started).toEqual([0, 2]);
  });

  it('gives a place to those who go first before all others, each line with its own bound', () => {
    const lane = new Lane(1, 2);
    const started: string[] = [];
    const entry = (name: string, goesFirst: boolean): Entry => ({
      goesFirst,
      start: () => started.push(name),
    });
    const running = entry('a', false);
    const others = [entry('b', false), entry('c', false), entry('d', false)];
    const first = [entry('known', true), entry('known too', true), entry('one too many', true)];
    expect([running, ...others, ...first].map((each) => lane.enter(each))).toEqual([
      true,
      true,
      true,
      false,
      true,
      true,
      false,
    ]);
    expect(lane.waiting).toBe(4);
    for (const each of [running, ...first.slice(0, 2), ...others.slice(0, 2)]) lane.leave(each);
    expect(started).toEqual(['a', 'known', 'known too', 'b', 'c']);
    expect(lane.waiting).toBe(0);
  });

  it('keeps its count when one leaves twice', () => {
    const lane = new Lane(1, 2);
    const { started, all } = entries(3);
    for (const entry of all) lane.enter(entry);
    const [first] = all;
    if (first === undefined) throw new Error('three entries were made');
    lane.leave(first);
    lane.leave(first);
    expect(started).toEqual([0, 1]);
    expect(lane.waiting).toBe(1);
  });
});
