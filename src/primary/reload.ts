/**
 * A reload: reads the config again, refuses what only a restart can change, and has every worker replaced. One at a
 * time; what asks during one waits for the next, which then reads the file anew for all who wait.
 */
import { PosternError, describeError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { ReloadAnswer } from '../base/messages.js';
import type { Config } from '../config/config.js';
import { differingFiles, digestFiles, namedFiles, type FileDigests } from '../config/named-files.js';
import { unchangeableKeys } from '../config/reload-check.js';
import { changedKeys } from './config-changes.js';
import type { Supervisor } from './supervisor.js';

export interface ReloaderOptions {
  readonly config: Config;
  readonly load: () => Config;
  readonly supervisor: Supervisor;
  readonly log: Log;
  /** The new config is in force. */
  onReloaded(config: Config): Promise<void>;
}

export class Reloader {
  readonly #options: ReloaderOptions;
  #config: Config;
  #digests: FileDigests;
  #running: Promise<ReloadAnswer> | undefined;
  #next: Promise<ReloadAnswer> | undefined;

  constructor(options: ReloaderOptions) {
    this.#options = options;
    this.#config = options.config;
    this.#digests = digestFiles(namedFiles(options.config));
  }

  /** The config in force. */
  get config(): Config {
    return this.#config;
  }

  async reload(): Promise<ReloadAnswer> {
    if (this.#running === undefined) return this.#begin();
    this.#next ??= this.#running.then(async () => {
      this.#next = undefined;
      return this.#begin();
    });
    return this.#next;
  }

  async #begin(): Promise<ReloadAnswer> {
    this.#running = this.#perform().finally(() => (this.#running = undefined));
    return this.#running;
  }

  async #perform(): Promise<ReloadAnswer> {
    const { log, supervisor } = this.#options;
    if (supervisor.state !== 'ready') return this.#refuseNow(supervisor.state);
    const next = this.#read();
    if ('ok' in next) return next;
    const keys = unchangeableKeys(this.#config, next.config);
    if (keys.length > 0) return this.#refuseKeys(keys);
    const changed = changedKeys(this.#config, next.config);
    log.info({ event: 'reload.started', changed }, 'the config was read again; the workers are replaced');
    const reread = namedFiles(next.config);
    // Before the workers read them: what is written meanwhile differs at the next reload.
    const digests = digestFiles(reread);
    const outcome = await supervisor.replaceAll(next.config);
    if (!outcome.ok) return this.#giveUp(outcome.code, outcome.message);
    this.#config = next.config;
    await this.#options.onReloaded(next.config);
    const changedFiles = differingFiles(this.#digests, digests);
    this.#digests = digests;
    const workers = supervisor.slots.length;
    log.info({ event: 'reload.done', changed, reread, changedFiles, workers }, 'reloaded');
    return { ok: true, changed, reread, changedFiles, workers };
  }

  #refuseNow(state: string): ReloadAnswer {
    const message = `the service is ${state}; ask again when it is ready`;
    this.#options.log.error({ event: 'reload.refused', code: 'RELOAD_REFUSED' }, message);
    return { ok: false, code: 'RELOAD_REFUSED', message, keys: [] };
  }

  #read(): { config: Config } | Extract<ReloadAnswer, { ok: false }> {
    try {
      return { config: this.#options.load() };
    } catch (error) {
      const code = error instanceof PosternError ? error.code : 'CONFIG_UNREADABLE';
      const message = describeError(error);
      // One line for each fault, so that none is cut off or hidden in another.
      for (const fault of message.split('\n'))
        this.#options.log.error({ event: 'config.fault', code }, fault);
      this.#options.log.error(
        { event: 'reload.refused', code },
        'the config has faults; the old one stays in force',
      );
      return { ok: false, code, message, keys: [] };
    }
  }

  #refuseKeys(keys: readonly string[]): ReloadAnswer {
    const message = `only a restart can change ${keys.join(', ')}; the old config stays in force`;
    this.#options.log.error({ event: 'reload.refused', code: 'RELOAD_REFUSED', keys }, message);
    return { ok: false, code: 'RELOAD_REFUSED', message, keys: [...keys] };
  }

  #giveUp(code: string, reason: string): ReloadAnswer {
    const message = `a worker cannot run with the new config (${reason}); the old one stays in force`;
    this.#options.log.error({ event: 'reload.abandoned', code }, message);
    return { ok: false, code, message, keys: [] };
  }
}
