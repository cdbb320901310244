/**
 * Routes that an operator has frozen: mail for them is accepted and waits, nothing is tried. The set outlives
 * restarts in `<dataDir>/frozen-routes.json`; on disk first, then in force. The supervisor tells the workers.
 */
import { copyFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describeError, errorCodeOf, PosternError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import { writeWholeFile } from '../base/whole-file.js';

const fileName = 'frozen-routes.json';
const fileVersion = 1;

const saidOf = {
  frozen: 'an operator froze a route: its mail is accepted and waits',
  thawed: 'an operator thawed a route: its mail goes on',
} as const;

export interface FrozenRoutesOptions {
  readonly dataDir: string;
  readonly log: Log;
  /** Names of the routes of the config. */
  readonly routes: readonly string[];
  /** The set has changed: the whole of it, sorted. */
  readonly changed: (names: readonly string[]) => void;
}

export class FrozenRoutes {
  readonly #options: FrozenRoutesOptions;
  #routes: readonly string[];
  #names: ReadonlySet<string>;
  /** One change at a time, so that the file holds them all. */
  #last: Promise<void> = Promise.resolve();

  private constructor(options: FrozenRoutesOptions, names: readonly string[]) {
    this.#options = options;
    this.#routes = options.routes;
    this.#names = new Set(names);
  }

  static async open(options: FrozenRoutesOptions): Promise<FrozenRoutes> {
    const names = await readNames(options);
    if (names.length > 0)
      options.log.warn({ event: 'routes.frozen', frozen: names }, 'nothing is tried on these routes');
    return new FrozenRoutes(options, names);
  }

  /** A new config is in force. Frozen routes that are not in it stay frozen: they may come back. */
  setRoutes(routes: readonly string[]): void {
    this.#routes = routes;
  }

  /** Sorted. */
  get names(): readonly string[] {
    return [...this.#names].toSorted();
  }

  /** Resolves when it is on disk and the workers are told. @throws PosternError NOT_FOUND, DATA_DIR_UNUSABLE */
  async freeze(route: string): Promise<void> {
    return this.#change(route, 'frozen', (names) => names.add(route));
  }

  /** A frozen route that has left the config can be thawed too. @throws as freeze */
  async thaw(route: string): Promise<void> {
    return this.#change(route, 'thawed', (names) => names.delete(route));
  }

  async #change(route: string, to: 'frozen' | 'thawed', apply: (names: Set<string>) => void): Promise<void> {
    const done = this.#last.then(async () => this.#perform(route, to, apply));
    this.#last = done.catch(() => undefined); // its caller hears of it
    return done;
  }

  async #perform(route: string, to: 'frozen' | 'thawed', apply: (names: Set<string>) => void): Promise<void> {
    const { log, changed } = this.#options;
    if (!this.#names.has(route) && !this.#routes.includes(route)) throw unknown(route, this.#routes);
    const next = new Set(this.#names);
    apply(next);
    await this.#write([...next].toSorted());
    this.#names = next;
    log.warn({ event: `routes.${to}`, route, frozen: this.names }, saidOf[to]);
    changed(this.names);
  }

  async #write(names: readonly string[]): Promise<void> {
    const file = join(this.#options.dataDir, fileName);
    try {
      await writeWholeFile(file, spell(names));
    } catch (error) {
      const message = `${file} cannot be written: ${describeError(error)}; nothing was changed`;
      throw new PosternError('DATA_DIR_UNUSABLE', message, error);
    }
  }
}

async function readNames({ dataDir, log, routes }: FrozenRoutesOptions): Promise<readonly string[]> {
  const file = join(dataDir, fileName);
  try {
    return parseNames(await readFile(file, 'utf8'));
  } catch (error) {
    if (errorCodeOf(error) === 'ENOENT') return [];
    // Somebody froze something, and what is lost: mail that waits can go on any time, mail that went out where it was
    // not to go cannot come back. So all wait.
    const facts = { event: 'routes.freeze_file_damaged', file, err: describeError(error) };
    log.error(
      facts,
      'which routes are frozen cannot be read: all are, until thawed. The file is kept beside, as .damaged',
    );
    const all = routes.toSorted();
    await setAside(file, all, log);
    return all;
  }
}

function spell(names: readonly string[]): string {
  return `${JSON.stringify({ version: fileVersion, routes: names })}\n`;
}

/** @throws Error when it is anything but what `spell` makes */
function parseNames(text: string): readonly string[] {
  const value: unknown = JSON.parse(text);
  if (typeof value !== 'object' || value === null || !('version' in value) || !('routes' in value))
    throw new Error('it holds something else');
  if (value.version !== fileVersion) throw new Error(`its version is ${String(value.version)}`);
  const { routes } = value;
  if (!Array.isArray(routes) || !routes.every((name) => typeof name === 'string'))
    throw new Error('its routes are no list of names');
  return routes.toSorted();
}

/** A copy for an operator to look at; where none can be made the next start finds the same. */
async function setAside(file: string, names: readonly string[], log: Log): Promise<void> {
  try {
    await copyFile(file, `${file}.damaged`);
    await writeWholeFile(file, spell(names));
  } catch (error) {
    log.error({ event: 'routes.freeze_file_damaged', file, err: describeError(error) }, 'it stays in place');
  }
}

function unknown(route: string, routes: readonly string[]): PosternError {
  return new PosternError('NOT_FOUND', `no route "${route}" in the config; its routes: ${routes.join(', ')}`);
}
