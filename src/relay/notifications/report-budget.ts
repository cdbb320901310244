/**
 * How many notifications may go out: so many to one address and so many altogether in any hour (attack A-122:
 * senders are forged, and we are not to be the one who floods them). Exact, and bounded by the total: only what was
 * granted is remembered, and that for an hour.
 */

const windowMs = 3_600_000;

export class ReportBudget {
  readonly #perSender: number;
  readonly #total: number;
  /** Granted within the last hour, oldest first; `#head` is the first that counts. */
  #granted: { readonly sender: string; readonly atMs: number }[] = [];
  #head = 0;
  readonly #bySender = new Map<string, number>();

  constructor(perSenderPerHour: number, perHour: number) {
    this.#perSender = perSenderPerHour;
    this.#total = perHour;
  }

  /** Takes one if there is one. @param monotonicMs never a wall clock's, which may jump */
  take(address: string, monotonicMs: number): boolean {
    this.#forget(monotonicMs - windowMs);
    const sender = address.toLowerCase();
    const count = this.#bySender.get(sender) ?? 0;
    if (count >= this.#perSender || this.#granted.length - this.#head >= this.#total) return false;
    this.#bySender.set(sender, count + 1);
    this.#granted.push({ sender, atMs: monotonicMs });
    return true;
  }

  /** Addresses in memory. */
  get senders(): number {
    return this.#bySender.size;
  }

  #forget(untilMs: number): void {
    for (let oldest = this.#granted[this.#head]; oldest !== undefined; oldest = this.#granted[this.#head]) {
      if (oldest.atMs > untilMs) break;
      this.#head++;
      const count = this.#bySender.get(oldest.sender) ?? 1;
      if (count > 1) this.#bySender.set(oldest.sender, count - 1);
      else this.#bySender.delete(oldest.sender);
    }
    // The dead part is cut off when it is the larger one: each entry is moved once on average.
    if (this.#head * 2 <= this.#granted.length) return;
    this.#granted = this.#granted.slice(this.#head);
    this.#head = 0;
  }
}
