/**
 * The entry of a worker process: hears the primary, runs one Worker. A terminal's Ctrl-C reaches the whole process
 * group, so signals are ignored here and only the primary is obeyed (promise 8).
 */
import { PosternError, describeError } from '../base/errors.js';
import { openLog } from '../base/log.js';
import type { ToWorker } from '../base/messages.js';
import { connectionsWithin, openFilesLimit } from '../base/open-files.js';
import type { Config } from '../config/config.js';
import { Channel } from './channel.js';
import { Worker } from './worker.js';

const heartbeatMs = 1_000;
// A merge interval of 250 ms less what the primary takes to answer (primary/tally-merge.ts).
const talliesMs = 200;
/** After the first failed commit (sysexits' EX_SOFTWARE): the primary replaces the process. */
const exitQueueFailed = 70;
/** For the replies to what is in flight; fail() takes less when all goes well. */
const crashBoundMs = 5_000;

type Adoption = Pick<Extract<ToWorker, { type: 'adopt' }>, 'files' | 'blame'>;

const channel = new Channel();
let worker: Worker | undefined;
let failed = false;
let crashed = false;
/** What was handed over before the worker was open. */
let adoptLater: readonly Adoption[] = [];
let frozen: readonly string[] = [];
let ticketSecret = '';

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);

channel.listen((message) => {
  void receive(message);
});
channel.onPrimaryGone(orphaned);
channel.send({ type: 'online' });

async function receive(message: ToWorker): Promise<void> {
  switch (message.type) {
    case 'init':
      await init(message);
      return;
    case 'adopt':
      await adopt([message]);
      return;
    case 'freeze':
      frozen = message.routes;
      worker?.freeze(frozen);
      return;
    case 'ticket-secret':
      ticketSecret = message.secret;
      worker?.setTicketSecret(Buffer.from(ticketSecret, 'base64'));
      return;
    case 'drain':
      await drain(message.reason, message.boundMs);
      return;
    case 'over-limit':
      worker?.setOverLimit(message.over);
      return;
    case 'known-logins':
      worker?.learnLogins(message.keys);
      return;
    case 'snapshot':
      if (worker !== undefined)
        channel.send({ type: 'snapshot', id: message.id, metrics: worker.snapshot() });
      return;
    case 'call':
      if (worker !== undefined)
        channel.send({ type: 'answer', id: message.id, answer: await worker.call(message.call) });
      return;
  }
}

let closeLog = (): void => undefined;
/** Once there is a config. */
let tellOrphaned = (): void => undefined;

async function init(message: Extract<ToWorker, { type: 'init' }>): Promise<void> {
  // oxlint-disable-next-line no-unsafe-type-assertion -- checked and frozen by the primary, which alone sends it
  const config = withinOpenFiles(message.config as Config);
  const opened = openLog(config.log.level, { slot: message.slot });
  closeLog = opened.close;
  const { log } = opened;
  tellOrphaned = () => {
    const facts = { event: 'worker.orphaned', connections: worker?.connections ?? 0 };
    log.error(
      facts,
      'the primary is gone (killed, or out of memory: the system log may say), so this worker ends too; nothing acknowledged is lost; start Postern again where no service manager does',
    );
  };
  frozen = message.frozen;
  ticketSecret = message.ticketSecret;
  process.on('uncaughtException', (error) => crash(log.fatal.bind(log), error));
  process.on('unhandledRejection', (reason) => {
    // lmdb-js raises one of these for a failed commit although the commit's own rejection was handled. By the next
    // turn the spool has called its failed hook; anything else is our bug.
    setImmediate(() => {
      if (!failed) crash(log.fatal.bind(log), reason);
    });
  });
  try {
    worker = await Worker.open({
      config,
      slot: message.slot,
      incarnation: message.incarnation,
      ticketSecret: Buffer.from(ticketSecret, 'base64'),
      log,
      onPhase: (phase) =>
        channel.send({ type: 'phase', kind: phase?.kind ?? 'idle', file: phase?.file ?? '' }),
      onUnusable: ({ file, reason }) => channel.send({ type: 'unusable', file, reason }),
      onFailing: () => {
        failed = true;
      },
      onFailed: () => exit(crashed ? 1 : exitQueueFailed),
    });
    worker.freeze(frozen);
    // A new one may have come while the worker opened.
    if (ticketSecret !== message.ticketSecret) worker.setTicketSecret(Buffer.from(ticketSecret, 'base64'));
    await worker.serve();
  } catch (error) {
    const code = error instanceof PosternError ? error.code : 'INTERNAL';
    log.fatal({ event: 'worker.unable', code, err: describeError(error) }, 'the worker cannot start');
    channel.send({ type: 'unable', code, message: describeError(error) }, () => exit(1));
    return;
  }
  channel.send({ type: 'ready', refusing: worker.refusing });
  report(worker);
  await adopt([{ files: message.adopt, blame: message.blame }, ...adoptLater]);
}

/** Beyond these a client gets its 421, instead of a connection that the system closes without a word. */
function withinOpenFiles(config: Config): Config {
  const { limits } = config;
  const connectionsPerWorker = connectionsWithin(openFilesLimit(), limits.connectionsPerWorker);
  return { ...config, limits: { ...limits, connectionsPerWorker } };
}

/** The primary counts them as ours from the moment it sent them, so none may be forgotten. */
async function adopt(adoptions: readonly Adoption[]): Promise<void> {
  if (worker === undefined) {
    adoptLater = [...adoptLater, ...adoptions];
    return;
  }
  for (const { files, blame } of adoptions) await worker.adopt(files, blame);
}

function report(running: Worker): void {
  setInterval(() => {
    const { leased, connections, files, refusing } = running;
    channel.send({ type: 'heartbeat', leased, connections, files: [...files], refusing });
  }, heartbeatMs);
  setInterval(() => {
    const tallies = running.takeReport();
    if (tallies !== undefined) channel.send({ type: 'tallies', report: tallies });
    const logins = running.takeKnownLogins();
    if (logins !== undefined) channel.send({ type: 'known-logins', keys: logins });
  }, talliesMs);
}

async function drain(reason: 'stop' | 'reload', boundMs: number): Promise<void> {
  if (worker === undefined) {
    exit(0);
    return;
  }
  await worker.drain(reason, boundMs);
  channel.send({ type: 'farewell', metrics: worker.snapshot() }, () => exit(0));
}

/**
 * The primary is gone (F-03). No drain: the next one begins at once, and a queue file belongs to one living process. What
 * got its 250 is on disk.
 */
function orphaned(): void {
  tellOrphaned();
  worker?.lastWords();
  exit(0);
}

/**
 * A bug of ours (F-37): no more mail, answers for what is in flight, then the end. Not a drain: what the relay has in
 * hand stays begun and not ended, because one of those messages may be the reason (F-41).
 */
function crash(tell: (fields: object, text: string) => void, error: unknown): void {
  const stack = error instanceof Error ? error.stack : undefined;
  tell({ event: 'worker.crash', err: describeError(error), stack }, 'a bug: the worker ends and is replaced');
  if (crashed) return;
  crashed = true;
  setTimeout(() => exit(1), crashBoundMs);
  if (worker === undefined) exit(1);
  else worker.fail();
}

function exit(code: number): void {
  closeLog();
  process.exit(code);
}
