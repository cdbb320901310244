/** `postern status`, `reload` and `stop`: the running server as a whole. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { PosternError } from '../base/errors.js';
import type { QueueStats, ReloadAnswer, RouteLoad, Status, WorkerStatus } from '../base/messages.js';
import { formatBytes, formatDurationMs } from '../base/units.js';
import { AdminClient, RefusedError, reloadTimeoutMs } from './admin-client.js';
import { count } from './amounts.js';
import { configOption, type ConfigOption } from './config-file.js';
import { exitCodes } from './failure.js';
import { columns, jsonOption, printable, printJson, printLines, type JsonOption } from './output.js';

type Options = ConfigOption & JsonOption;

// The server drains within 30 s (promise 8), plus its own exit.
const stopTimeoutMs = 60_000;
const stopPollMs = 100;
const filesShown = 6;

export function statusCommand(): Command {
  return new Command('status')
    .description('show the running server, its workers and its queue')
    .addOption(configOption())
    .addOption(jsonOption())
    .action(async (options: Options) => {
      const status = await new AdminClient(options).call<Status>('GET', '/api/v1/status');
      if (options.json) printJson(status);
      else printLines(describeStatus(status));
    });
}

function describeStatus(status: Status): string[] {
  return [
    `${status.hostname}: ${stateOf(status)}, up ${upTime(status.upSeconds)}, version ${status.version}, pid ${status.pid}`,
    '',
    ...columns([
      ['worker', 'pid', 'state', 'up', 'restarts', 'connections'],
      ...status.workers.map(workerRow),
    ]),
    '',
    ...describeStats(status.queue),
    ...status.frozen.map((route) => frozenRoute(route, status.queue)),
    ...refusals(status),
    ...missingWorkers(status),
    ...status.quarantined.map((file) => `quarantined: ${printable(file)}`),
    ...(status.quarantined.length === 0 ? [] : [salvageHint]),
    ...status.salvaged.map((file) => `salvaged: ${printable(file)}`),
    ...(status.salvaged.length === 0 ? [] : [salvagedHint]),
  ];
}

function frozenRoute(route: string, { routes = [] }: QueueStats): string {
  const { waiting = 0 } = routes.find((load) => load.route === route) ?? {};
  const mail =
    waiting === 0
      ? 'its mail waits'
      : `${count(waiting, 'message')} to hand over ${waiting === 1 ? 'waits' : 'wait'}`;
  return `frozen route: ${route}; ${mail} until \`postern queue thaw ${route}\``;
}

const salvageHint =
  'Quarantined files hold mail that waits; `postern queue salvage` stores what is whole in them.';

const salvagedHint =
  'Salvaged files were damaged; what was whole in them is in the queue. Remove them when nobody looks for the rest (log event queue.salvaged).';

/** A word that calms must not stand on top while no mail is accepted. */
function stateOf({ state, workers }: Status): string {
  const serving = workers.filter((worker) => worker.state === 'ready');
  const refuses = serving.length > 0 && serving.every(({ refusing = '' }) => refusing !== '');
  return refuses && state === 'ready' ? 'running, but refuses all mail (see below)' : state;
}

/** What keeps mail out although everything runs: a full disk, mostly. */
function refusals({ workers }: Status): string[] {
  const byReason = new Map<string, number[]>();
  for (const { slot, refusing = '' } of workers)
    if (refusing !== '') byReason.set(refusing, [...(byReason.get(refusing) ?? []), slot]);
  return [...byReason].map(([reason, slots]) =>
    slots.length === workers.length
      ? `refusing mail: ${printable(reason)}`
      : `worker ${slots.join(', ')} refuses mail: ${printable(reason)}`,
  );
}

const whyDead = 'the log says why (worker.died, worker.unable)';

/** Slots whose worker died and has no successor yet, or whose successor is not ready. */
function missingWorkers({ workers, slots }: Status): string[] {
  const serving = new Set(workers.filter(({ state }) => state === 'ready').map(({ slot }) => slot));
  const starting = new Map(
    workers.filter(({ state }) => state === 'starting').map((worker) => [worker.slot, worker]),
  );
  const missing = Array.from({ length: slots }, (_, slot) => slot).filter((slot) => !serving.has(slot));
  return missing.map((slot) => {
    const { restarts } = starting.get(slot) ?? {};
    if (restarts === undefined) return `worker ${slot} takes no mail; ${whyDead}`;
    const before = restarts === 0 ? '' : ` again, after ${count(restarts, 'restart')}; ${whyDead}`;
    return `worker ${slot} is starting${before}`;
  });
}

function workerRow(worker: WorkerStatus): string[] {
  const { slot, pid, state, upSeconds, restarts, connections } = worker;
  return [String(slot), String(pid), state, upTime(upSeconds), String(restarts), String(connections)];
}

function upTime(seconds: number): string {
  return formatDurationMs(Math.round(seconds) * 1_000);
}

export function describeStats(stats: QueueStats): string[] {
  const { active, deferred, held, parked, failed } = stats.messages;
  const total = active + deferred + held + parked + failed;
  const oldest = total === 0 ? '' : `, the oldest ${upTime(stats.oldestSeconds)} old`;
  return [
    `queue: ${total} ${total === 1 ? 'message' : 'messages'}, ${formatBytes(stats.bytes)} in ${stats.files} files${oldest}`,
    `  active ${active}, deferred ${deferred}, held ${held}, parked ${parked}, failed ${failed}`,
    ...(stats.routes ?? []).filter(({ missing }) => missing === true).map(missingRoute),
    ...(stats.routes ?? [])
      .filter(({ hopsResting }) => hopsResting > 0)
      .map((load) => restingHops(load, held + parked)),
    ...(stats.complete === false ? [incomplete] : []),
  ];
}

const incomplete =
  'A part of the queue is not counted here: a worker is missing, or still reads its files. Look again in a moment.';

function missingRoute({ route, waiting }: RouteLoad): string {
  return `route ${printable(route)} is no longer in the config: ${count(waiting, 'message')} to hand over ${waiting === 1 ? 'waits' : 'wait'} for it to come back, and what is too old fails`;
}

/** @param stopped messages of any route that an operator, or three deaths, keep from being tried */
function restingHops({ route, hopsResting, waiting }: RouteLoad, stopped: number): string {
  const hops = `${count(hopsResting, 'next hop')} ${hopsResting === 1 ? 'is' : 'are'} down`;
  const none = stopped === 0 ? 'no mail waits' : 'no mail waits but what may be held or parked';
  const mail = waiting === 0 ? none : `${count(waiting, 'message')} to hand over`;
  return `route ${printable(route)}: ${hops}, ${mail}; \`postern queue list --route ${printable(route)}\` shows the replies`;
}

export function reloadCommand(): Command {
  return new Command('reload')
    .description('read the config and the certificates again; no transaction is cut')
    .addOption(configOption())
    .addOption(jsonOption())
    .action(async (options: Options) => {
      const answer = await reload(new AdminClient(options));
      if (options.json) printJson(answer);
      else if (answer.ok) printLines([describeReload(answer)]);
      else process.stderr.write(`postern: the reload was refused: ${answer.message}\n`);
      process.exitCode = answer.ok ? exitCodes.done : exitCodes.failed;
    });
}

/** A refusal is an answer; all else is thrown. */
async function reload(client: AdminClient): Promise<ReloadAnswer> {
  try {
    return await client.call<ReloadAnswer>('POST', '/api/v1/reload', { timeoutMs: reloadTimeoutMs });
  } catch (error) {
    if (!(error instanceof RefusedError) || error.status !== 409) throw error;
    const { keys } = error.details;
    return {
      ok: false,
      code: error.reason,
      message: error.message,
      keys: Array.isArray(keys) ? keys.map(String) : [],
    };
  }
}

function describeReload(answer: Extract<ReloadAnswer, { ok: true }>): string {
  const { changed, reread, changedFiles, workers } = answer;
  const what = changed.length === 0 ? 'no key of the config differs' : `changed: ${changed.join(', ')}`;
  return [`reloaded, ${count(workers, 'worker')} replaced`, what, ...filesRead(reread, changedFiles)].join(
    '; ',
  );
}

function filesRead(reread: readonly string[], changed: readonly string[]): string[] {
  if (reread.length === 0) return [];
  if (changed.length > 0) return [`changed files: ${someOf(changed)}`];
  return [`no file differs, read again: ${someOf(reread)}`];
}

function someOf(files: readonly string[]): string {
  const more = files.length > filesShown ? ` and ${count(files.length - filesShown, 'other')}` : '';
  return `${files.slice(0, filesShown).join(', ')}${more}`;
}

export function stopCommand(): Command {
  return new Command('stop')
    .description('drain and stop the running server, and wait until it has gone')
    .addOption(configOption())
    .addOption(jsonOption())
    .option('--no-wait', 'return at once')
    .action(async (options: Options & { wait: boolean }) => {
      const client = new AdminClient(options);
      await client.call('POST', '/api/v1/stop');
      if (options.wait) await untilGone(client);
      if (options.json) printJson({ ok: true, stopped: options.wait });
      else printLines([options.wait ? 'stopped' : 'stopping: open transactions finish first']);
    });
}

async function untilGone(client: AdminClient): Promise<void> {
  const giveUpAtMs = Date.now() + stopTimeoutMs;
  while (await client.isUp()) {
    if (Date.now() > giveUpAtMs)
      throw new PosternError(
        'ADMIN_UNREACHABLE',
        `the server on ${client.place} was told to stop but still runs after ${stopTimeoutMs / 1_000} s; its log may say why`,
      );
    await sleep(stopPollMs);
  }
}
