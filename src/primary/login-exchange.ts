/**
 * Tells each worker from where the others have seen successful log-ins (base/known-logins.ts), and a new one all of it, so
 * that what spares an owner the limits on guessing outlives the worker that saw it.
 */
import { KnownLogins } from '../base/known-logins.js';
import type { FromWorker } from '../base/messages.js';
import type { WorkerProcess } from './worker-process.js';

/** About 200 KiB of JSON: a channel carries other things too. */
const keysPerMessage = 4_000;

export class LoginExchange {
  readonly #known: KnownLogins;
  readonly #workers: () => readonly WorkerProcess[];

  constructor(workers: () => readonly WorkerProcess[], known = new KnownLogins()) {
    this.#workers = workers;
    this.#known = known;
  }

  message(worker: WorkerProcess, message: FromWorker): void {
    if (message.type === 'ready') {
      const all = this.#known.keys();
      for (let at = 0; at < all.length; at += keysPerMessage)
        worker.send({ type: 'known-logins', keys: all.slice(at, at + keysPerMessage) });
    }
    if (message.type !== 'known-logins') return;
    this.#known.learn(message.keys);
    for (const other of this.#workers())
      if (other !== worker) other.send({ type: 'known-logins', keys: message.keys });
  }
}
