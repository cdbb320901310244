/**
 * Several budgets that one message counts on at once: the worker's, and those of the networks that its client is in. It
 * has to wait where any of them is spent.
 */
import type { BudgetMember, ByteBudget } from './byte-budget.js';

export type Budget = Pick<
  ByteBudget,
  'exhausted' | 'join' | 'leave' | 'received' | 'submitted' | 'written' | 'dropped' | 'wait'
>;

export class BudgetGroup implements Budget {
  readonly #budgets: readonly Budget[];

  constructor(budgets: readonly Budget[]) {
    this.#budgets = budgets;
  }

  get exhausted(): boolean {
    return this.#budgets.some(isExhausted);
  }

  join(member: BudgetMember): void {
    for (const budget of this.#budgets) budget.join(member);
  }

  leave(member: BudgetMember): void {
    for (const budget of this.#budgets) budget.leave(member);
  }

  received(bytes: number): void {
    for (const budget of this.#budgets) budget.received(bytes);
  }

  submitted(bytes: number): void {
    for (const budget of this.#budgets) budget.submitted(bytes);
  }

  written(bytes: number): void {
    for (const budget of this.#budgets) budget.written(bytes);
  }

  dropped(bytes: number): void {
    for (const budget of this.#budgets) budget.dropped(bytes);
  }

  /** Woken by one while another is spent, the member reads once more at most: then it waits there. */
  wait(member: BudgetMember): void {
    this.#budgets.find(isExhausted)?.wait(member);
  }
}

function isExhausted(budget: Budget): boolean {
  return budget.exhausted;
}
