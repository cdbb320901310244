/**
 * Answers the admin API's calls about this worker's shard. Mail flows meanwhile: whatever walks over many messages
 * pauses every few milliseconds, and no answer is larger than the bounds that the API names. Owns nothing of the
 * queue; worker.ts makes one and hands it every call.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';

import { PosternError, describeError } from '../base/errors.js';
import type { QueueAnswer, QueueCall, QueueSurvey, QueueValue, SalvageReport } from '../base/messages.js';
import type { Spool } from '../queue/spool.js';
import { QueueImports } from './queue-imports.js';
import { toDetail, toRouteLoads, toRow, toStats, type RowSource } from './queue-rows.js';

// What `queue show` prints of a message: enough for any header section that we accept by default.
const headBytes = 64 * 1024;
// Each row is a read from the file in this turn of the event loop; after so long others have theirs.
const sliceMs = 2;
// For a sentence to an operator; beyond it he only wants to hear that they are many.
const maxSurveyDomains = 1_000;
// Base64 of it is what one message between the processes carries.
const maxReadBytes = 512 * 1024;

type Change = 'hold' | 'release' | 'retry' | 'delete';

export interface QueueCallsOptions {
  readonly spool: Spool;
  readonly slot: number;
  /** Dispatcher.nextAttemptAtMs. */
  readonly triedAtMs: RowSource['triedAtMs'];
  /** Dispatcher.hopsResting. */
  readonly hopsResting: () => ReadonlyMap<string, number>;
  /** Stores again what is whole in a quarantined file. */
  readonly salvage: (file: string) => Promise<SalvageReport>;
}

export class QueueCalls {
  readonly #spool: Spool;
  readonly #source: RowSource;
  readonly #hopsResting: QueueCallsOptions['hopsResting'];
  readonly #salvage: QueueCallsOptions['salvage'];
  readonly #imports: QueueImports;

  constructor({ spool, slot, triedAtMs, hopsResting, salvage }: QueueCallsOptions) {
    this.#spool = spool;
    this.#source = { slot, triedAtMs };
    this.#hopsResting = hopsResting;
    this.#salvage = salvage;
    this.#imports = new QueueImports(spool);
  }

  /** Never rejects. */
  async answer(call: QueueCall): Promise<QueueAnswer> {
    try {
      return { ok: true, value: await this.#perform(call) };
    } catch (error) {
      if (error instanceof PosternError) return { ok: false, code: error.code, message: error.message };
      return { ok: false, code: 'INTERNAL', message: describeError(error) };
    }
  }

  /** Drops the imports that nobody ended. */
  close(): void {
    this.#imports.close();
  }

  async #perform(call: QueueCall): Promise<QueueValue> {
    switch (call.method) {
      case 'list':
        return this.#list(call);
      case 'select':
        return this.#select(call);
      case 'rows':
        return this.#rows(call.ids);
      case 'survey':
        return this.#survey(call.ids);
      case 'stats':
        return {
          ...toStats(this.#spool.stats(), Date.now()),
          routes: toRouteLoads(this.#spool.due(), this.#hopsResting()),
        };
      case 'shape':
        return this.#shape();
      case 'show':
        return toDetail(
          this.#spool.show(call.id),
          this.#source,
          await this.#spool.read(call.id, 0, headBytes),
        );
      case 'hold':
      case 'release':
      case 'retry':
      case 'delete':
        await this.#apply(call.method, call.id);
        return null;
      case 'change':
        return this.#change(call.change, call.ids);
      case 'envelope':
        return this.#envelope(call.id);
      case 'read':
        return this.#read(call);
      case 'import-begin':
        await this.#imports.begin(call.id);
        return null;
      case 'import-write':
        await this.#imports.write(call.id, call.offset, Buffer.from(call.data, 'base64'));
        return null;
      case 'import-commit':
        await this.#imports.commit(call.id, call.bytes, call.envelope);
        return null;
      case 'import-drop':
        this.#imports.drop(call.id);
        return null;
      case 'salvage':
        return this.#salvage(call.file);
    }
  }

  async #list(call: Extract<QueueCall, { method: 'list' }>): Promise<QueueValue> {
    const { filter, offset, limit } = call;
    const { total, messages } = await this.#spool.list(filter, { offset, limit });
    return { total, messages: messages.map((message) => toRow(message, this.#source)) };
  }

  async #select(call: Extract<QueueCall, { method: 'select' }>): Promise<QueueValue> {
    const all = [...(await this.#spool.select(call.filter))].sort();
    const { after, limit = all.length } = call;
    const start = after === undefined ? 0 : firstAfter(all, after);
    return { ids: all.slice(start, start + limit), total: all.length };
  }

  async #rows(ids: readonly string[]): Promise<QueueValue> {
    const messages: ReturnType<typeof toRow>[] = [];
    await inSlices(ids, (id) => {
      const message = this.#find(id);
      if (message !== undefined) messages.push(toRow(message, this.#source));
    });
    return { total: messages.length, messages };
  }

  async #survey(ids: readonly string[]): Promise<QueueSurvey> {
    const domains = new Set<string>();
    let found = 0;
    let bytes = 0;
    await inSlices(ids, (id) => {
      const message = this.#find(id);
      if (message === undefined) return;
      found++;
      bytes += message.bytes;
      for (const { address } of message.recipients)
        if (domains.size < maxSurveyDomains) domains.add(domainOfAddress(address));
    });
    return { found, bytes, domains: [...domains].sort() };
  }

  async #shape(): Promise<QueueValue> {
    const { ageMinutes, rows } = await this.#spool.shape(Date.now());
    return {
      ageMinutes: [...ageMinutes],
      rows: rows.map(({ domain, counts }) => ({ domain, counts: [...counts] })),
    };
  }

  async #change(change: Change, ids: readonly string[]): Promise<{ done: number }> {
    // All are begun before the first is waited for: they share commits.
    const begun: Promise<PosternError | 'done' | 'nothing to do'>[] = [];
    await inSlices(ids, (id) => begun.push(this.#changeOne(change, id)));
    const results = await Promise.all(begun);
    const failure = results.find((result) => result instanceof PosternError);
    if (failure !== undefined) throw failure;
    return { done: results.filter((result) => result === 'done').length };
  }

  async #changeOne(change: Change, id: string): Promise<PosternError | 'done' | 'nothing to do'> {
    try {
      await this.#apply(change, id);
      return 'done';
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
      return error.code === 'NOT_FOUND' || error.code === 'NOT_HELD' ? 'nothing to do' : error;
    }
  }

  /** What is not held goes already: that it was released would be told of nothing that was done. */
  async #apply(change: Change, id: string): Promise<void> {
    const state = change === 'release' ? this.#spool.show(id).state : 'held';
    if (state === 'failed')
      throw new PosternError('NOT_HELD', 'not held: it has failed; `postern queue retry` tries it again');
    if (state === 'active' || state === 'deferred')
      throw new PosternError('NOT_HELD', `not held: it is ${state}, and goes by itself`);
    await this.#spool[change](id);
  }

  #envelope(id: string): QueueValue {
    const {
      id: _,
      state: _state,
      attempts: _attempts,
      nextAttemptAtMs: _next,
      bytes,
      ...envelope
    } = this.#spool.show(id);
    return { envelope, bytes };
  }

  async #read(call: Extract<QueueCall, { method: 'read' }>): Promise<QueueValue> {
    const data = await this.#spool.read(call.id, call.offset, Math.min(call.limit, maxReadBytes));
    return { data: data.toString('base64') };
  }

  /** Undefined when it is not here, or has gone since it was selected. */
  #find(id: string): ReturnType<Spool['show']> | undefined {
    try {
      return this.#spool.show(id);
    } catch (error) {
      if (error instanceof PosternError) return undefined;
      throw error;
    }
  }
}

async function inSlices<T>(items: readonly T[], work: (item: T) => void): Promise<void> {
  let sliceEndMs = performance.now() + sliceMs;
  for (const item of items) {
    if (performance.now() >= sliceEndMs) {
      await nextTurn();
      sliceEndMs = performance.now() + sliceMs;
    }
    work(item);
  }
}

/** Index of the first that is greater; the list is sorted. */
function firstAfter(sorted: readonly string[], after: string): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? '') <= after) low = middle + 1;
    else high = middle;
  }
  return low;
}

function domainOfAddress(address: string): string {
  return address.slice(address.lastIndexOf('@') + 1).toLowerCase();
}
