/**
 * Which messages a command is about: the ids given, those on stdin, or those that fit its filters. Asks the API for
 * ids in pages, so that a queue of any length goes through.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { PosternError } from '../base/errors.js';
import { isQueueId } from '../base/ids.js';
import type { AdminClient } from './admin-client.js';
import { UsageError } from './failure.js';
import { filterQuery, type FilterOptions } from './queue-filter.js';

// A million ids, one a line, with room.
const maxInputBytes = 64 * 1024 * 1024;
// The most that the API gives at once.
const pageIds = 100_000;
// Files of a worker that was just replaced are read within seconds.
const completeWithinMs = 60_000;
const completePollMs = 500;

interface IdsAnswer {
  readonly ids: readonly string[];
  readonly total: number;
  readonly complete: boolean;
}

export interface Chosen {
  readonly ids: readonly string[];
  readonly byFilter: boolean;
}

export interface ChoiceOptions extends FilterOptions {
  readonly all?: true;
}

/** @throws UsageError when nothing is chosen, or in two ways */
export async function chooseMessages(
  client: AdminClient,
  given: readonly string[],
  options: ChoiceOptions,
): Promise<Chosen> {
  const isFiltered = filterQuery(options).size > 0;
  const ways = [given.length > 0, isFiltered || options.all === true].filter(Boolean).length;
  if (ways === 0)
    throw new UsageError('which messages? Name ids, - to read them from stdin, filters, or --all');
  if (ways > 1) throw new UsageError('name ids, or filters, not both');
  if (options.all === true && isFiltered) throw new UsageError('--all is everything: it takes no filters');
  if (given.length > 0) return { ids: await idsOf(given), byFilter: false };
  return { ids: await selectIds(client, options), byFilter: true };
}

/** Ids as given, once each; `-` alone: those on stdin. @throws UsageError */
export async function idsOf(given: readonly string[]): Promise<string[]> {
  const ids = given.length === 1 && given[0] === '-' ? idsIn(await readStdin()) : given;
  checkIds(ids);
  return [...new Set(ids)];
}

function checkIds(ids: readonly string[]): void {
  const wrong = ids.find((id) => !isQueueId(id));
  if (wrong !== undefined)
    throw new UsageError(
      `'${wrong.slice(0, 80)}' is no queue id: these have 16 characters, \`postern queue list\` shows them`,
    );
}

/** One a line, or what `queue list --json` printed. */
function idsIn(input: string): string[] {
  const trimmed = input.trim();
  if (!trimmed.startsWith('{') && !trimmed.startsWith('['))
    return trimmed.split('\n').flatMap((line) => (line.trim() === '' ? [] : [line.trim()]));
  const value: unknown = parse(trimmed);
  const list = isRecord(value) ? (value['messages'] ?? value['ids']) : value;
  if (!Array.isArray(list)) throw new UsageError('the JSON on stdin holds no list of messages');
  return list.map((item: unknown) => {
    const id = isRecord(item) ? item['id'] : item;
    if (typeof id !== 'string') throw new UsageError('the JSON on stdin has a message without an id');
    return id;
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UsageError(`what is on stdin is neither ids nor JSON: ${String(error)}`);
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

async function readStdin(): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxInputBytes) throw new UsageError(`more than ${maxInputBytes} bytes of ids on stdin`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** All that fit, ascending. Waits while a part of the queue is still being read. @throws PosternError */
export async function selectIds(client: AdminClient, options: FilterOptions): Promise<string[]> {
  const ids: string[] = [];
  const query = filterQuery(options);
  query.set('limit', String(pageIds));
  for (;;) {
    const page = await wholePage(client, query);
    for (const id of page.ids) ids.push(id);
    const last = page.ids.at(-1);
    if (last === undefined || page.ids.length < pageIds) return ids;
    query.set('after', last);
  }
}

async function wholePage(client: AdminClient, query: URLSearchParams): Promise<IdsAnswer> {
  const giveUpAtMs = performance.now() + completeWithinMs;
  for (;;) {
    const page = await client.call<IdsAnswer>('GET', `/api/v1/queue/ids?${query.toString()}`);
    if (page.complete) return page;
    if (performance.now() > giveUpAtMs)
      throw new PosternError(
        'ADMIN_REFUSED',
        'a part of the queue cannot be seen: a worker is missing, or still reads its files. `postern status` says more',
      );
    await sleep(completePollMs);
  }
}
