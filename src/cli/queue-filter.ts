/** The filters that `postern queue list` and its siblings share: as options, and as the API's query parameters. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import { parseDurationMs } from '../base/units.js';

export interface FilterOptions {
  readonly state?: string;
  readonly route?: string;
  readonly domain?: string;
  readonly sender?: string;
  readonly recipient?: string;
  /** Milliseconds. */
  readonly older?: number;
  readonly younger?: number;
  readonly error?: string;
}

const states = ['active', 'deferred', 'held', 'parked', 'failed'];

export function withFilters(command: Command): Command {
  return command
    .addOption(new Option('-s, --state <state>', 'in this state').choices(states))
    .addOption(new Option('--route <name>', 'with a recipient of this route').argParser(text))
    .addOption(new Option('--domain <domain>', 'with a recipient of this domain').argParser(text))
    .addOption(
      new Option(
        '--sender <address>',
        "from this address; @example.org: from anybody there; '<>': notifications",
      ).argParser(text),
    )
    .addOption(
      new Option('--recipient <address>', 'for this address; @example.org: for anybody there').argParser(
        text,
      ),
    )
    .addOption(new Option('--older <duration>', 'arrived longer ago than 90s, 4h, 2d12h').argParser(duration))
    .addOption(
      new Option('--younger <duration>', 'arrived within the last 90s, 4h, 2d12h').argParser(duration),
    )
    .addOption(new Option('--error <text>', 'whose last reply or error contains this text').argParser(text));
}

/** An empty text would fit nothing, or all. */
function text(value: string): string {
  if (value === '') throw new InvalidArgumentError('it must not be empty.');
  return value;
}

function duration(value: string): number {
  const ms = parseDurationMs(value);
  if (ms === undefined) throw new InvalidArgumentError('expected a duration like 90s, 4h or 2d12h.');
  return Math.round(ms);
}

const parameters = [
  ['state', 'state'],
  ['route', 'route'],
  ['domain', 'domain'],
  ['sender', 'sender'],
  ['recipient', 'recipient'],
  ['older', 'olderThanMs'],
  ['younger', 'youngerThanMs'],
  ['error', 'error'],
] as const;

export function filterQuery(options: FilterOptions): URLSearchParams {
  const query = new URLSearchParams();
  for (const [option, parameter] of parameters) {
    const value = options[option];
    if (value !== undefined) query.set(parameter, String(value));
  }
  return query;
}
