/** What runs besides the supervisor, started and stopped with it in the right order, and what a reload changes in it. */
import { PosternError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { Config } from '../config/config.js';
import type { AdminBackend } from './admin-backend.js';
import { startAdmin, type AdminServer } from './admin/server.js';
import type { Service } from './lifecycle.js';
import type { Scrape } from './scrape.js';
import type { DrainBounds, Supervisor } from './supervisor.js';
import type { TallyMerge } from './tally-merge.js';
import type { StartOutcome } from './worker-process.js';

interface ServiceParts {
  readonly config: Config;
  readonly log: Log;
  readonly supervisor: Supervisor;
  readonly tallies: TallyMerge;
  readonly scrape: Scrape;
  readonly backend: AdminBackend;
}

export class PrimaryService implements Service {
  readonly #parts: ServiceParts;
  #admin: AdminServer | undefined;

  constructor(parts: ServiceParts) {
    this.#parts = parts;
  }

  /** The admin HTTP first: /readyz answers while the workers start, and a taken port is known before mail comes in. */
  async start(): Promise<StartOutcome> {
    const { config, log, backend, supervisor } = this.#parts;
    try {
      this.#admin = await startAdmin({ config, log, backend });
    } catch (error) {
      if (error instanceof PosternError) return { ok: false, code: error.code, message: error.message };
      throw error;
    }
    return supervisor.start();
  }

  refusing(): readonly string[] {
    return this.#parts.backend.ready().reasons;
  }

  /** A new config is in force. */
  async apply(config: Config): Promise<void> {
    this.#parts.log.level = config.log.level;
    this.#parts.tallies.setLimits(config.limits);
    await this.#admin?.update(config);
  }

  reload(): void {
    void this.#parts.backend.reload();
  }

  async stop(bounds: DrainBounds): Promise<void> {
    return this.#parts.supervisor.stop(bounds);
  }

  async close(): Promise<void> {
    this.#parts.tallies.close();
    this.#parts.scrape.close();
    await this.#admin?.close();
  }
}
