import { describe, expect, it } from 'vitest';

import { ByteBudget, type BudgetMember } from '../../src/queue/byte-budget.js';
import { until } from './harness.js';

const kib = 1024;

class Member implements BudgetMember {
  readonly #budget: ByteBudget;
  heldBytes = 0;
  woken = 0;
  spilled = 0;

  constructor(budget: ByteBudget) {
    this.#budget = budget;
    budget.join(this);
  }

  receive(bytes: number): void {
    this.heldBytes += bytes;
    this.#budget.received(bytes);
  }

  wake(): void {
    this.woken++;
  }

  spill(): number {
    const bytes = this.heldBytes;
    this.heldBytes = 0;
    if (bytes > 0) this.spilled++;
    this.#budget.submitted(bytes);
    return bytes;
  }
}

describe('the budget of bytes in flight', () => {
  it('stops reading one read per writer below its limit, so that reads under way stay inside it', () => {
    const budget = new ByteBudget(1024 * kib);
    const members = Array.from({ length: 4 }, () => new Member(budget));
    budget.submitted(1);
    members[0]?.receive(767 * kib);
    expect(budget.exhausted).toBe(false);
    members[0]?.receive(kib);
    expect(budget.exhausted).toBe(true);
    for (const member of members) member.receive(64 * kib);
    expect(budget.usedBytes).toBe(1024 * kib);
  });

  it('wakes those who wait in the order they came, no more than there is room for', async () => {
    const budget = new ByteBudget(512 * kib);
    const members = Array.from({ length: 4 }, () => new Member(budget));
    budget.submitted(512 * kib);
    budget.received(512 * kib);
    for (const member of members) budget.wait(member);
    budget.written(384 * kib);
    expect(members.map(({ woken }) => woken)).toEqual([1, 1, 0, 0]);
    // The two did not use their room: the others get it a little later.
    await until(() => members.every(({ woken }) => woken === 1));
  });

  it('spills the oldest holders when only half-received messages fill it: slow senders stop nobody', () => {
    const budget = new ByteBudget(1024 * kib);
    const members = Array.from({ length: 20 }, () => new Member(budget));
    for (const member of members) member.receive(40 * kib);
    expect(budget.exhausted).toBe(true);
    const spilled = members.filter((member) => member.spilled > 0);
    expect(spilled).toEqual(members.slice(0, spilled.length));
    expect(spilled.length).toBeGreaterThanOrEqual(6);
    expect(spilled.length).toBeLessThan(20);
  });

  it('spills nothing while a write is on its way that will make room', () => {
    const budget = new ByteBudget(1024 * kib);
    const holder = new Member(budget);
    budget.received(1024 * kib);
    budget.submitted(1024 * kib);
    holder.receive(40 * kib);
    expect(holder.spilled).toBe(0);
  });

  it('forgets a member that left', () => {
    const budget = new ByteBudget(512 * kib);
    const member = new Member(budget);
    budget.submitted(512 * kib);
    budget.received(512 * kib);
    budget.wait(member);
    budget.leave(member);
    budget.written(512 * kib);
    expect(member.woken).toBe(0);
  });

  it('that is held is spent, sends what it has to disk, and wakes who waited when it is let go', () => {
    const budget = new ByteBudget(1024 * kib);
    const member = new Member(budget);
    member.receive(10 * kib);
    budget.hold(true);
    expect([budget.exhausted, member.spilled]).toEqual([true, 1]);
    budget.wait(member);
    budget.written(10 * kib);
    expect(member.woken).toBe(0);
    budget.hold(false);
    expect([budget.exhausted, member.woken]).toEqual([false, 1]);
    expect(budget.isIdle).toBe(false);
    budget.leave(member);
    expect(budget.isIdle).toBe(true);
  });
});
