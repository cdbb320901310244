/** Wires the primary: lock, supervisor, tallies, scrape, admin HTTP, signals. Called by `postern start`. */
import cluster from 'node:cluster';
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

import { describeError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import {
  listQuarantinedFiles,
  listSalvagedFiles,
  listSpoolFiles,
  quarantineSpoolFile,
  removeReservesBeyond,
} from '../base/spool-files.js';
import type { Config } from '../config/config.js';
import { Backend } from './backend.js';
import { prepareDataDirectory, takesFiles } from './data-directory.js';
import { lockDataDirectory } from './data-directory-lock.js';
import { FrozenRoutes } from './frozen-routes.js';
import { Lifecycle, reportStartError } from './lifecycle.js';
import { warnOfFewOpenFiles } from './open-files.js';
import { LoginExchange } from './login-exchange.js';
import { QueueCustody } from './queue-custody.js';
import { Questions } from './questions.js';
import { Reloader } from './reload.js';
import { schedulingPolicy } from './scheduling.js';
import { Salvage } from './salvage.js';
import { Scrape } from './scrape.js';
import { PrimaryService } from './service.js';
import { TicketSecret } from './ticket-secret.js';
import { Supervisor, type SupervisorListener } from './supervisor.js';
import { TallyMerge } from './tally-merge.js';

export interface PrimaryOptions {
  readonly config: Config;
  readonly configFile: string;
  /** Reads the config file again. @throws ConfigError */
  readonly load: () => Config;
  readonly log: Log;
  readonly closeLog: () => void;
  /** What each worker process runs; tests put a script of theirs here. */
  readonly workerFile?: string | undefined;
  readonly silenceBoundMs?: number | undefined;
}

const builtWorkerFile = fileURLToPath(new URL('../worker/main.js', import.meta.url));

/** Runs the service until it is stopped; the exit code. */
export async function runPrimary(options: PrimaryOptions): Promise<number> {
  const { config, configFile, log } = options;
  log.info({ event: 'service.starting', config: configFile, workers: config.workers }, 'starting');
  try {
    warnOfFewOpenFiles(config, log);
    const queueDirectory = await prepareDataDirectory(config.dataDir);
    const lock = await lockDataDirectory(config.dataDir);
    try {
      return await runLocked(options, queueDirectory);
    } finally {
      await lock.release();
    }
  } catch (error) {
    reportStartError(log, error);
    return 1;
  } finally {
    options.closeLog();
  }
}

async function runLocked(options: PrimaryOptions, queueDirectory: string): Promise<number> {
  const { config, log } = options;
  setUpCluster(options.workerFile ?? builtWorkerFile);
  const listeners: SupervisorListener[] = [];
  const directory = {
    list: async () => listSpoolFiles(queueDirectory),
    listSalvaged: async () => listSalvagedFiles(queueDirectory),
    quarantine: async (file: string) => quarantineSpoolFile(queueDirectory, file),
    takesFilesBeside: async (file: string) => takesFiles(dirname(file)),
  };
  await removeReservesBeyond(queueDirectory, config.workers).catch((error: unknown) => {
    const facts = { event: 'queue.reserve_left', error: describeError(error) };
    log.warn(facts, 'the disk reserve of a worker that there is no more cannot be removed');
  });
  const queue = new QueueCustody(directory, await listQuarantinedFiles(queueDirectory), log);
  const frozenRoutes = await FrozenRoutes.open({
    dataDir: config.dataDir,
    log,
    routes: Object.keys(config.routes),
    changed: (names) => supervisor.freeze(names),
  });
  const { silenceBoundMs } = options;
  const frozen = () => frozenRoutes.names;
  const tickets = new TicketSecret((secret) => supervisor.shareTicketSecret(secret));
  const ticketSecret = () => tickets.current;
  const supervisor = new Supervisor({ config, log, queue, listeners, frozen, ticketSecret, silenceBoundMs });
  const version = packageVersion();
  const questions = new Questions();
  const tallies = new TallyMerge(config.limits, () => supervisor.workers);
  const scrape = new Scrape({ supervisor, questions, queue, version, config: () => reloader.config });
  // The aggregate hears of a death last, the round that waits for the dead worker first.
  const salvage = new Salvage({ supervisor, questions, queue, log });
  const logins = new LoginExchange(() => supervisor.workers);
  listeners.push(questions, tallies, logins, salvage, scrape);
  const reloader = new Reloader({
    config,
    load: options.load,
    supervisor,
    log,
    onReloaded: async (next) => {
      frozenRoutes.setRoutes(Object.keys(next.routes));
      await service.apply(next);
    },
  });
  const stop = () => lifecycle.stop('asked by the admin API');
  const backend = new Backend({
    version,
    supervisor,
    queue,
    questions,
    scrape,
    reloader,
    frozenRoutes,
    salvage,
    stop,
  });
  const service = new PrimaryService({ config, log, supervisor, tallies, scrape, backend });
  const lifecycle = new Lifecycle(service, log);
  return lifecycle.run();
}

/** execArgv []: flags for this process (a debugger's port, a test runner's hooks) are not for its workers. */
function setUpCluster(workerFile: string): void {
  cluster.schedulingPolicy = schedulingPolicy;
  cluster.setupPrimary({ exec: workerFile, args: [], execArgv: [], serialization: 'json' });
}

function packageVersion(): string {
  // Two folders up from dist/primary/ and from src/primary/ alike.
  const manifest: { version: string } = JSON.parse(
    readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
  );
  return manifest.version;
}
