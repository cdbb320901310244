/**
 * `postern queue hold`, `release`, `retry` and `delete`: of a few messages by id, or of many by filter or stdin. Many
 * are counted and asked about first, then changed in batches.
 */
import { Command } from 'commander';
import { describeError } from '../base/errors.js';
import { formatBytes } from '../base/units.js';
import { AdminClient, RefusedError } from './admin-client.js';
import { count } from './amounts.js';
import { configOption, type ConfigOption } from './config-file.js';
import { exitCodes, UsageError } from './failure.js';
import { jsonOption, printable, printJson, printLines, type JsonOption } from './output.js';
import { Progress } from './progress.js';
import { confirm } from './prompt.js';
import { withFilters } from './queue-filter.js';
import { chooseMessages, type ChoiceOptions, type Chosen } from './queue-ids.js';

// So many ids a person types or pastes and means; beyond it they come from a program, and are counted first.
const few = 20;
// A second's work for the workers: what a progress line moves by.
const batchSize = 1_000;
const surveyBatchSize = 10_000;
// Of one worker's answer and of the sentence; beyond it they are simply many.
const maxDomains = 1_000;

type Change = 'hold' | 'release' | 'retry' | 'delete';

interface ChangeOptions extends ConfigOption, JsonOption, ChoiceOptions {
  readonly yes?: true;
  readonly dryRun?: true;
}

interface Outcome {
  readonly change: Change;
  readonly asked: number;
  readonly done: number;
  /** Not in the queue, or no longer; among many, those too that were not held and so not released. */
  readonly missing: number;
}

const pastTense = { hold: 'held', release: 'released', retry: 'due now', delete: 'deleted' } as const;

export function changeCommand(change: Change, description: string): Command {
  return withFilters(new Command(change))
    .description(description)
    .argument('[ids...]', 'queue ids; - reads them from stdin, one a line or as JSON of `queue list`')
    .option('--all', 'the whole queue')
    .option('-y, --yes', 'do not ask')
    .option('-n, --dry-run', 'only say how many it would be')
    .addOption(configOption())
    .addOption(jsonOption())
    .action(async (given: string[], options: ChangeOptions) => {
      const client = new AdminClient(options);
      const chosen = await chooseMessages(client, given, options);
      if (chosen.ids.length === 0) return nothingFits(change, options);
      if (options.dryRun === true) return dryRun(client, change, chosen.ids, options);
      await askFirst(client, change, chosen, options);
      const isFew = !chosen.byFilter && chosen.ids.length <= few;
      const outcome = isFew
        ? await changeFew(client, change, chosen.ids, options)
        : await changeMany(client, change, chosen.ids);
      if (options.json) printJson(outcome);
      else if (!isFew) printLines([describeOutcome(outcome)]);
    });
}

function nothingFits(change: Change, options: ChangeOptions): void {
  if (options.json) printJson({ change, asked: 0, done: 0, missing: 0 } satisfies Outcome);
  else printLines(['No message fits.']);
}

async function dryRun(
  client: AdminClient,
  change: Change,
  ids: readonly string[],
  options: ChangeOptions,
): Promise<void> {
  const survey = await surveyMessages(client, ids);
  if (options.json) printJson({ change, asked: ids.length, ...survey });
  else printLines([describeSurvey(change, ids.length, survey)]);
}

/** What a few ids can take back needs no question. @throws UsageError when the answer is no, or nobody is there */
async function askFirst(
  client: AdminClient,
  change: Change,
  { ids, byFilter }: Chosen,
  options: ChangeOptions,
): Promise<void> {
  if (options.yes === true || (change !== 'delete' && !byFilter && ids.length <= few)) return;
  const what = describeSurvey(change, ids.length, await surveyMessages(client, ids));
  if (!process.stdin.isTTY)
    throw new UsageError(`${what} Nothing was done: nobody can be asked here, so it needs --yes`);
  if (!(await confirm(`${what} Go on?`))) throw new UsageError('nothing was done');
}

interface Survey {
  readonly found: number;
  readonly bytes: number;
  readonly domains: readonly string[];
}

async function surveyMessages(client: AdminClient, ids: readonly string[]): Promise<Survey> {
  const domains = new Set<string>();
  let found = 0;
  let bytes = 0;
  for (let start = 0; start < ids.length; start += surveyBatchSize) {
    const batch = ids.slice(start, start + surveyBatchSize);
    const part = await client.call<Survey>('POST', '/api/v1/queue/survey', { json: { ids: batch } });
    found += part.found;
    bytes += part.bytes;
    for (const domain of part.domains) if (domains.size < maxDomains) domains.add(domain);
  }
  return { found, bytes, domains: [...domains].sort() };
}

/** `This would hold 1 234 messages of 3 domains (5.2MiB).` */
function describeSurvey(change: Change, asked: number, { found, bytes, domains }: Survey): string {
  const messages = `${count(found, 'message')} of ${describeDomains(domains)} (${formatBytes(bytes)})`;
  const forGood = change === 'delete' ? ' for good' : '';
  const absent = asked - found;
  const rest = absent === 0 ? '' : ` Not in the queue: ${count(absent, 'id')}.`;
  return `This would ${change} ${messages}${forGood}.${rest}`;
}

function describeDomains(domains: readonly string[]): string {
  const [only] = domains;
  if (domains.length === 1 && only !== undefined) return printable(only);
  return domains.length < maxDomains ? count(domains.length, 'domain') : 'very many domains';
}

/** One that the server refuses does not keep the others from being done; the exit code is 1 then. */
async function changeFew(
  client: AdminClient,
  change: Change,
  ids: readonly string[],
  options: ChangeOptions,
): Promise<Outcome> {
  const counts = { done: 0, missing: 0 };
  await forEachId(ids, async (id) => {
    try {
      await changeOne(client, change, id);
    } catch (error) {
      if (error instanceof RefusedError && error.status === 404) counts.missing++;
      throw error;
    }
    counts.done++;
    if (!options.json) printLines([`${id}: ${pastTense[change]}`]);
  });
  return { change, asked: ids.length, ...counts };
}

async function changeOne(client: AdminClient, change: Change, id: string): Promise<void> {
  if (change === 'delete') await client.call('DELETE', `/api/v1/queue/${id}`);
  else await client.call('POST', `/api/v1/queue/${id}/${change}`);
}

async function changeMany(client: AdminClient, change: Change, ids: readonly string[]): Promise<Outcome> {
  const progress = new Progress(pastTense[change], ids.length);
  let done = 0;
  try {
    for (let start = 0; start < ids.length; start += batchSize) {
      const batch = ids.slice(start, start + batchSize);
      const answer = await client.call<{ done: number }>('POST', '/api/v1/queue/change', {
        json: { change, ids: batch },
      });
      done += answer.done;
      progress.add(batch.length);
    }
  } finally {
    progress.end();
  }
  return { change, asked: ids.length, done, missing: ids.length - done };
}

function describeOutcome({ change, done, missing }: Outcome): string {
  const why = change === 'release' ? 'not held, or gone from the queue' : 'left the queue before';
  const gone = missing === 0 ? '' : `; ${count(missing, 'message')} ${why}`;
  return `${count(done, 'message')} ${pastTense[change]}${gone}`;
}

/** Refusals are told, each for its id, and do not stop the rest; exit code 1. */
export async function forEachId(ids: readonly string[], work: (id: string) => Promise<void>): Promise<void> {
  for (const id of ids) {
    try {
      await work(id);
    } catch (error) {
      if (!(error instanceof RefusedError) || error.status === 401 || error.status === 403) throw error;
      process.stderr.write(`postern: ${id}: ${describeError(error)}\n`);
      process.exitCode = exitCodes.failed;
    }
  }
}
