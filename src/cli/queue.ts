/** `postern queue`: what waits, why, and what an operator can do about it. Here is what only looks. */
import { once } from 'node:events';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { QueueDetail, QueueStats } from '../base/messages.js';
import { AdminClient } from './admin-client.js';
import { configOption, type ConfigOption } from './config-file.js';
import { pieceBytes } from './export-format.js';
import { UsageError } from './failure.js';
import { jsonOption, printJson, printLines, type JsonOption } from './output.js';
import { changeCommand, forEachId } from './queue-changes.js';
import { exportCommand } from './queue-export.js';
import { filterQuery, withFilters, type FilterOptions } from './queue-filter.js';
import { freezeCommand } from './queue-freeze.js';
import { idsOf, selectIds } from './queue-ids.js';
import { importCommand } from './queue-import.js';
import { salvageCommand } from './queue-salvage.js';
import { shapeCommand } from './queue-shape.js';
import { describeDetail, describeList, type QueuePage } from './queue-text.js';
import { describeStats } from './service.js';

// What the API gives in one answer.
const maxListed = 1_000;
const defaultListed = 100;

type Options = ConfigOption & JsonOption;

interface ListOptions extends Options, FilterOptions {
  readonly offset?: number;
  readonly limit?: number;
  readonly ids?: true;
}

export function queueCommand(): Command {
  return new Command('queue')
    .description('see and steer what waits for delivery')
    .addCommand(listCommand())
    .addCommand(showCommand())
    .addCommand(changeCommand('hold', 'keep messages in the queue until they are released'))
    .addCommand(changeCommand('release', 'let held and parked messages go on'))
    .addCommand(changeCommand('retry', 'try messages again now, failed ones too'))
    .addCommand(changeCommand('delete', 'delete messages for good; nobody is told'))
    .addCommand(statsCommand())
    .addCommand(shapeCommand())
    .addCommand(freezeCommand('freeze'))
    .addCommand(freezeCommand('thaw'))
    .addCommand(salvageCommand())
    .addCommand(exportCommand())
    .addCommand(importCommand());
}

function listCommand(): Command {
  return withFilters(withCommonOptions(new Command('list')))
    .description(
      'list messages: id, size, arrival, state, next attempt, sender, recipients with their last reply',
    )
    .addOption(new Option('--offset <n>', 'leave out the first n').argParser(wholeNumber))
    .addOption(
      new Option('--limit <n>', `at most n, up to ${maxListed}; ${defaultListed} by default`).argParser(
        pageSize,
      ),
    )
    .option('--ids', 'print the ids of all that fit, one a line, for `postern queue hold -` and the like')
    .action(async (options: ListOptions) => {
      const client = new AdminClient(options);
      if (options.ids) await listIds(client, options);
      else await listPage(client, options);
    });
}

async function listPage(client: AdminClient, options: ListOptions): Promise<void> {
  const { offset = 0, limit = defaultListed } = options;
  const query = filterQuery(options);
  query.set('offset', String(offset));
  query.set('limit', String(limit));
  const page = await client.call<QueuePage>('GET', `/api/v1/queue?${query.toString()}`);
  if (options.json) printJson(page);
  else printLines(describeList(page, { offset, isFiltered: filterQuery(options).size > 0 }));
}

async function listIds(client: AdminClient, options: ListOptions): Promise<void> {
  if (options.offset !== undefined || options.limit !== undefined)
    throw new UsageError('--ids prints all that fit: it takes no --offset and no --limit');
  const ids = await selectIds(client, options);
  if (options.json) printJson({ ids });
  else printLines(ids);
}

function showCommand(): Command {
  return withCommonOptions(new Command('show'))
    .description("show messages: envelope, recipients, attempts with the hops' replies, header")
    .argument('<ids...>', 'queue ids; - reads them from stdin')
    .option('--body', 'only the message itself, as it is stored: header and body, for one id')
    .action(async (given: string[], options: Options & { body?: true }) => {
      const client = new AdminClient(options);
      const ids = await idsOf(given);
      if (options.body) await showBody(client, ids, options);
      else await showDetails(client, ids, options);
    });
}

async function showDetails(client: AdminClient, ids: readonly string[], options: Options): Promise<void> {
  const details: QueueDetail[] = [];
  await forEachId(ids, async (id) => {
    const detail = await client.call<QueueDetail>('GET', `/api/v1/queue/${id}`);
    if (options.json) details.push(detail);
    else printLines(describeDetail(detail));
  });
  if (options.json) printJson(details);
}

/** In pieces: a message of any size goes through without being held. */
async function showBody(client: AdminClient, ids: readonly string[], options: Options): Promise<void> {
  if (ids.length !== 1 || options.json)
    throw new UsageError('--body prints one message as it is: it takes one id and no --json');
  await forEachId(ids, async (id) => {
    for (let offset = 0; ;) {
      const piece = await client.read(`/api/v1/queue/${id}/message?offset=${offset}&limit=${pieceBytes}`);
      if (piece.length === 0) return;
      if (!process.stdout.write(piece)) await once(process.stdout, 'drain');
      offset += piece.length;
    }
  });
}

function statsCommand(): Command {
  return withCommonOptions(new Command('stats'))
    .description('count messages by state')
    .action(async (options: Options) => {
      const stats = await new AdminClient(options).call<QueueStats>('GET', '/api/v1/queue/stats');
      if (options.json) printJson(stats);
      else printLines(describeStats(stats));
    });
}

function withCommonOptions(command: Command): Command {
  return command.addOption(configOption()).addOption(jsonOption());
}

function wholeNumber(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('expected a whole number.');
  return Number(text);
}

function pageSize(text: string): number {
  const size = wholeNumber(text);
  if (size < 1 || size > maxListed)
    throw new InvalidArgumentError(`expected a whole number from 1 to ${maxListed}.`);
  return size;
}
