/**
 * Walks through all messages for an operator, in order of arrival: lists, selects, counts by age and domain. In slices,
 * so that mail flows meanwhile; what arrives during a walk is left out of it.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';

import type { Entry } from './message-index.js';
import type { Messages } from './messages.js';
import { domainOfAddress, needsRecord, outlineFits, recordFits } from './queue-filter.js';
import type { QueueFilter, QueueShape, QueuedMessage } from './spool.js';
import { toQueuedMessage } from './transitions.js';

// A page: each row is a read from disk, and all of it goes through a pipe as one JSON text.
const maxPage = 10_000;
// Of the event loop's time at once; its p99 under load has to stay below 50 ms.
const sliceMs = 1.5;
// Columns that double, as operators know them from Postfix's qshape.
const ageMinutes = [5, 10, 20, 40, 80, 160, 320, 640, 1280] as const;
// What fits on some screens; beyond, and beyond what is counted by name at all, the rest is one row.
const maxShapeRows = 100;
const maxCountedDomains = 10_000;

export class QueueWalk {
  readonly #messages: Messages;

  constructor(messages: Messages) {
    this.#messages = messages;
  }

  async list(
    filter: QueueFilter,
    page: { readonly offset: number; readonly limit: number },
  ): Promise<{ readonly total: number; readonly messages: readonly QueuedMessage[] }> {
    const end = page.offset + Math.min(page.limit, maxPage);
    const messages: QueuedMessage[] = [];
    let total = 0;
    await this.#walk(filter, (entry) => {
      if (total >= page.offset && total < end) {
        const record = this.#messages.readable(entry);
        if (record === undefined) return;
        messages.push(toQueuedMessage(entry.id, record));
      }
      total++;
    });
    return { total, messages };
  }

  async select(filter: QueueFilter): Promise<readonly string[]> {
    const ids: string[] = [];
    await this.#walk(filter, ({ id }) => ids.push(id));
    return ids;
  }

  async shape(nowMs: number): Promise<QueueShape> {
    const byDomain = new Map<string, number[]>();
    await this.#walk({}, (entry) => {
      const column = columnOf((nowMs - entry.arrivedAtMs) / 60_000);
      for (const domain of this.#waitingDomains(entry)) count(byDomain, domain, column);
    });
    return { ageMinutes, rows: rowsOf(byDomain) };
  }

  /** Of the recipients that still have it coming. */
  #waitingDomains(entry: Entry): ReadonlySet<string> {
    const recipients = this.#messages.readable(entry)?.recipients ?? [];
    const waiting = recipients.filter(({ state }) => state === 'pending' || state === 'failed');
    return new Set(waiting.map(({ address }) => domainOfAddress(address)));
  }

  async #walk(filter: QueueFilter, visit: (entry: Entry) => void): Promise<void> {
    const { index } = this.#messages;
    const lastSerial = index.lastSerial;
    const nowMs = Date.now();
    const entries = index.entries();
    for (;;) {
      const endMs = performance.now() + sliceMs;
      do {
        const { value: entry } = entries.next();
        if (entry === undefined || entry.serial > lastSerial) return;
        if (this.#fits(entry, filter, nowMs)) visit(entry);
      } while (performance.now() < endMs);
      await nextTurn();
    }
  }

  #fits(entry: Entry, filter: QueueFilter, nowMs: number): boolean {
    if (!outlineFits(entry, filter, nowMs)) return false;
    if (!needsRecord(filter)) return true;
    const record = this.#messages.readable(entry);
    return record !== undefined && recordFits(record, filter);
  }
}

function columnOf(age: number): number {
  const column = ageMinutes.findIndex((bound) => age < bound);
  return column < 0 ? ageMinutes.length : column;
}

function count(byDomain: Map<string, number[]>, domain: string, column: number): void {
  const name = byDomain.has(domain) || byDomain.size < maxCountedDomains ? domain : '';
  const counts = byDomain.get(name) ?? emptyRow();
  counts[column] = (counts[column] ?? 0) + 1;
  byDomain.set(name, counts);
}

function emptyRow(): number[] {
  return Array.from({ length: ageMinutes.length + 1 }, () => 0);
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, n) => total + n, 0);
}

function rowsOf(byDomain: Map<string, number[]>): QueueShape['rows'] {
  const rest = byDomain.get('');
  byDomain.delete('');
  const rows = Array.from(byDomain, ([domain, counts]) => ({ domain, counts })).sort(
    (a, b) => sum(b.counts) - sum(a.counts) || (a.domain < b.domain ? -1 : 1),
  );
  const beyond = rows.splice(maxShapeRows).map(({ counts }) => counts);
  if (rest !== undefined) beyond.push(rest);
  if (beyond.length === 0) return rows;
  const added = beyond.reduce((total, counts) => total.map((n, i) => n + (counts[i] ?? 0)), emptyRow());
  return [...rows, { domain: '', counts: added }];
}
