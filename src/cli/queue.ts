/** `postern queue`: what waits, why, and what an operator can do about it. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { describeError } from '../base/errors.js';
import { isQueueId } from '../base/ids.js';
import type { QueueDetail, QueueStats } from '../base/messages.js';
import { AdminClient, RefusedError } from './admin-client.js';
import { configOption, type ConfigOption } from './config-file.js';
import { exitCodes, UsageError } from './failure.js';
import { jsonOption, printJson, printLines, type JsonOption } from './output.js';
import { confirm } from './prompt.js';
import { describeDetail, describeList, type QueuePage } from './queue-text.js';
import { describeStats } from './service.js';

// What the API gives in one answer.
const maxListed = 1_000;

type Options = ConfigOption & JsonOption;

interface ListOptions extends Options {
  readonly state?: string;
  readonly offset: number;
  readonly limit: number;
}

type Change = 'hold' | 'release' | 'retry' | 'delete';

export function queueCommand(): Command {
  return new Command('queue')
    .description('see and steer what waits for delivery')
    .addCommand(listCommand())
    .addCommand(showCommand())
    .addCommand(changeCommand('hold', 'keep messages in the queue until they are released'))
    .addCommand(changeCommand('release', 'let held messages go on'))
    .addCommand(changeCommand('retry', 'try messages again now, failed ones too'))
    .addCommand(changeCommand('delete', 'delete messages for good').option('-y, --yes', 'do not ask'))
    .addCommand(statsCommand());
}

function listCommand(): Command {
  return withCommonOptions(new Command('list'))
    .description(
      'list messages: id, size, arrival, state, next attempt, sender, recipients with their last reply',
    )
    .addOption(
      new Option('-s, --state <state>', 'only these').choices(['active', 'deferred', 'held', 'failed']),
    )
    .addOption(new Option('--offset <n>', 'leave out the first n').argParser(wholeNumber).default(0))
    .addOption(new Option('--limit <n>', `at most n, up to ${maxListed}`).argParser(pageSize).default(100))
    .action(async (options: ListOptions) => {
      const { state, offset, limit } = options;
      const query = new URLSearchParams({ offset: String(offset), limit: String(limit) });
      if (state !== undefined) query.set('state', state);
      const page = await new AdminClient(options).call<QueuePage>('GET', `/api/v1/queue?${query.toString()}`);
      if (options.json) printJson(page);
      else printLines(describeList(page, offset));
    });
}

function showCommand(): Command {
  return withCommonOptions(new Command('show'))
    .description('show messages: envelope, recipients, header')
    .argument('<ids...>', 'queue ids')
    .action(async (ids: string[], options: Options) => {
      const client = new AdminClient(options);
      const details: QueueDetail[] = [];
      await forEachId(ids, async (id) => {
        const detail = await client.call<QueueDetail>('GET', `/api/v1/queue/${id}`);
        if (options.json) details.push(detail);
        else printLines(describeDetail(detail));
      });
      if (options.json) printJson(details);
    });
}

function changeCommand(change: Change, description: string): Command {
  return withCommonOptions(new Command(change))
    .description(description)
    .argument('<ids...>', 'queue ids')
    .action(async (ids: string[], options: Options & { yes?: true }) => {
      checkIds(ids);
      if (change === 'delete' && options.yes !== true) await confirmDelete(ids.length);
      const client = new AdminClient(options);
      const done: string[] = [];
      await forEachId(ids, async (id) => {
        await requestChange(client, change, id);
        done.push(id);
        if (!options.json) printLines([`${id}: ${pastTense[change]}`]);
      });
      if (options.json) printJson({ [pastTense[change]]: done });
    });
}

const pastTense = { hold: 'held', release: 'released', retry: 'due now', delete: 'deleted' } as const;

async function requestChange(client: AdminClient, change: Change, id: string): Promise<void> {
  if (change === 'delete') await client.call('DELETE', `/api/v1/queue/${id}`);
  else await client.call('POST', `/api/v1/queue/${id}/${change}`);
}

async function confirmDelete(count: number): Promise<void> {
  if (!process.stdin.isTTY) throw new UsageError('delete needs --yes where nobody can be asked');
  const messages = count === 1 ? '1 message' : `${count} messages`;
  if (!(await confirm(`Delete ${messages} for good?`))) throw new UsageError('nothing was deleted');
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

/** One that the server refuses does not keep the others from being done; the exit code is 1 then. */
async function forEachId(ids: readonly string[], work: (id: string) => Promise<void>): Promise<void> {
  checkIds(ids);
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

function checkIds(ids: readonly string[]): void {
  const wrong = ids.find((id) => !isQueueId(id));
  if (wrong !== undefined)
    throw new UsageError(
      `'${wrong}' is no queue id: these have 16 characters, \`postern queue list\` shows them`,
    );
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
