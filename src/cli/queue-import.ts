/**
 * `postern queue import`: stores the messages of an export in the running server. Ids are kept, what is in the queue
 * already is skipped, so that an import that stopped can simply be run again. A message is counted when the server has
 * it on disk; a damaged one is not stored at all. The format is export-format.ts.
 */
import { createReadStream } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { routeOf } from '../base/destination.js';
import { describeError, PosternError } from '../base/errors.js';
import type { RouteStatus } from '../base/messages.js';
import { AdminClient, RefusedError, type Sent } from './admin-client.js';
import { count } from './amounts.js';
import { configOption, type ConfigOption } from './config-file.js';
import { pieceBytes, readExport, type ExportedMessage } from './export-format.js';
import { jsonOption, printable, printJson, printLines, type JsonOption } from './output.js';
import { Progress } from './progress.js';

// Each waits for its own fsync; together they share some.
const atOnce = 8;
const retryWithinMs = 60_000;
const retryEveryMs = 500;

interface ImportOptions extends ConfigOption, JsonOption {
  readonly hold?: true;
  readonly check?: true;
}

interface Summary {
  /** Stored by this import. */
  imported: number;
  /** In the queue already. */
  known: number;
}

export function importCommand(): Command {
  return new Command('import')
    .description(
      'store the messages of an export; those in the queue already are skipped, those delivered since are sent again',
    )
    .argument('<file>', 'what `postern queue export` wrote; - is stdin')
    .option('--hold', 'hold each message until it is released')
    .option('--check', 'only read the export and say whether it is whole; asks no server')
    .addOption(configOption())
    .addOption(jsonOption())
    .action(async (file: string, options: ImportOptions) => {
      const source = file === '-' ? process.stdin : createReadStream(file, { highWaterMark: pieceBytes });
      if (options.check === true) return checkExport(readable(source, file), options);
      const importer = new Importer(new AdminClient(options), options.hold === true);
      const summary = await importer.run(readable(source, file));
      if (options.json) printJson(summary);
      else printLines(await importer.report());
    });
}

async function checkExport(source: AsyncIterable<Buffer>, options: JsonOption): Promise<void> {
  let messages = 0;
  for await (const part of readExport(source)) if (part.kind === 'total') messages = part.messages;
  if (options.json) printJson({ messages });
  else printLines([`whole: ${count(messages, 'message')}`]);
}

/** What the file system says, as our own error. */
async function* readable(source: AsyncIterable<Buffer>, file: string): AsyncGenerator<Buffer, void, void> {
  try {
    yield* source;
  } catch (error) {
    throw new PosternError('BAD_IMPORT', `${file} cannot be read: ${describeError(error)}`, error);
  }
}

class Importer {
  readonly #client: AdminClient;
  readonly #hold: boolean;
  readonly #summary: Summary = { imported: 0, known: 0 };
  /** Messages by the route that their recipients wait for. */
  readonly #routes = new Map<string, number>();
  readonly #progress = new Progress('imported');
  /** Small messages on their way to the server, by id. */
  readonly #underWay = new Map<string, Promise<void>>();
  #failure: Error | undefined;

  constructor(client: AdminClient, hold: boolean) {
    this.#client = client;
    this.#hold = hold;
  }

  /** @throws PosternError: what went in before is said in it, and stays. */
  async run(source: AsyncIterable<Buffer>): Promise<Summary> {
    try {
      await this.#read(source);
      await this.#settle();
    } catch (error) {
      // What was read whole before the fault still goes in.
      await Promise.allSettled(this.#underWay.values());
      this.#progress.end();
      throw this.#told(error);
    }
    this.#progress.end();
    return this.#summary;
  }

  /** The counts, and what an operator should know of the messages' routes. */
  async report(): Promise<string[]> {
    const { imported, known } = this.#summary;
    const skipped = known === 0 ? '' : `; ${count(known, 'message')} in the queue already`;
    const { routes } = await this.#client.call<{ routes: RouteStatus[] }>('GET', '/api/v1/routes');
    const here = new Set(routes.map(({ name }) => name));
    const strange = [...this.#routes].filter(([route]) => !here.has(route));
    return [
      `${count(imported, 'message')} imported${this.#hold ? ' and held' : ''}${skipped}`,
      ...strange.map(([route, messages]) => noSuchRoute(route, messages)),
    ];
  }

  async #read(source: AsyncIterable<Buffer>): Promise<void> {
    let message: ExportedMessage | undefined;
    /** The one piece of a message that may be small. */
    let piece: Buffer | undefined;
    let large: ServerImport | undefined;
    try {
      for await (const part of readExport(source)) {
        if (this.#failure !== undefined) throw this.#failure;
        if (part.kind === 'message') {
          message = part.message;
          piece = undefined;
        } else if (part.kind === 'data' && message !== undefined) {
          if (piece === undefined) piece = part.data;
          else {
            large ??= await this.#beginLarge(message, piece);
            await large.write(part.data);
          }
        } else if (part.kind === 'end') {
          if (large === undefined) await this.#storeSmall(part.message, piece);
          else await this.#endLarge(part.message, large);
          large = undefined;
        } else if (part.kind === 'gone') {
          await large?.drop();
          large = undefined;
        }
      }
    } catch (error) {
      await large?.drop();
      throw error;
    }
  }

  async #beginLarge(message: ExportedMessage, piece: Buffer): Promise<ServerImport> {
    // One at a time, so that neither this process nor the server holds many pieces.
    await this.#settle();
    const store = new ServerImport(this.#client, message, this.#hold);
    await insisting(() => store.begin());
    await store.write(piece);
    return store;
  }

  async #endLarge(message: ExportedMessage, store: ServerImport): Promise<void> {
    await store.commit();
    this.#count(message, store.isKnown);
  }

  /** Returns when there is room for the next. */
  async #storeSmall(message: ExportedMessage, piece: Buffer | undefined): Promise<void> {
    // The same id twice would be two messages, were both under way at once.
    await this.#underWay.get(message.id);
    const store = this.#storeWhole(message, piece)
      .catch((error: unknown) => void (this.#failure ??= asError(error)))
      .finally(() => this.#underWay.delete(message.id));
    this.#underWay.set(message.id, store);
    if (this.#underWay.size >= atOnce) await Promise.race(this.#underWay.values());
  }

  /** Nothing is lost when the server's worker is replaced meanwhile: the message is all here. */
  async #storeWhole(message: ExportedMessage, piece: Buffer | undefined): Promise<void> {
    const store = new ServerImport(this.#client, message, this.#hold);
    await insisting(async () => {
      await store.begin();
      if (piece !== undefined) await store.write(piece);
      await store.commit();
    });
    this.#count(message, store.isKnown);
  }

  #count(message: ExportedMessage, isKnown: boolean): void {
    this.#summary[isKnown ? 'known' : 'imported']++;
    this.#progress.add(1);
    if (isKnown) return;
    for (const route of routesOf(message)) this.#routes.set(route, (this.#routes.get(route) ?? 0) + 1);
  }

  async #settle(): Promise<void> {
    await Promise.all(this.#underWay.values());
    if (this.#failure !== undefined) throw this.#failure;
  }

  #told(error: unknown): unknown {
    const { imported, known } = this.#summary;
    // Nothing was begun: the file is not there, or of another version.
    if (!(error instanceof PosternError) || imported + known === 0) return error;
    const before = `Before it ${count(imported, 'message')} ${imported === 1 ? 'was' : 'were'} imported, ${known} were in the queue already. All of these stay, and are skipped when it is run again`;
    return new PosternError(error.code, `${error.message}. ${before}`, error);
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(describeError(error));
}

function noSuchRoute(route: string, messages: number): string {
  return `${count(messages, 'message')} for route ${printable(route)}: this server has no such route, so nothing is tried. Add it to the config`;
}

function routesOf({ envelope }: ExportedMessage): Set<string> {
  const { recipients } = envelope;
  if (!Array.isArray(recipients)) return new Set();
  return new Set(
    recipients.flatMap((recipient: unknown) =>
      typeof recipient === 'object' && recipient !== null && 'route' in recipient
        ? [routeOf(String(recipient.route))]
        : [],
    ),
  );
}

/** One message at the server: begin, write, commit. After `begin` said that it is known, nothing more is sent. */
class ServerImport {
  readonly #client: AdminClient;
  readonly #path: string;
  readonly #message: ExportedMessage;
  readonly #hold: boolean;
  #bytes = 0;
  isKnown = false;

  constructor(client: AdminClient, message: ExportedMessage, hold: boolean) {
    this.#client = client;
    this.#path = `/api/v1/queue/import/${message.id}`;
    this.#message = message;
    this.#hold = hold;
  }

  async begin(): Promise<void> {
    this.#bytes = 0;
    try {
      await this.#client.call('POST', this.#path);
    } catch (error) {
      if (!(error instanceof RefusedError) || error.reason !== 'EXISTS') throw this.#told(error);
      this.isKnown = true;
    }
  }

  async write(bytes: Buffer): Promise<void> {
    if (this.isKnown) return;
    await this.#call('POST', `${this.#path}/data?offset=${this.#bytes}`, { bytes });
    this.#bytes += bytes.length;
  }

  async commit(): Promise<void> {
    if (this.isKnown) return;
    const envelope = this.#hold ? { ...this.#message.envelope, held: true } : this.#message.envelope;
    await this.#call('POST', `${this.#path}/commit`, { json: { bytes: this.#bytes, envelope } });
  }

  /** As well as it goes: what is left behind the server drops by itself. */
  async drop(): Promise<void> {
    if (this.isKnown) return;
    try {
      await this.#client.call('DELETE', this.#path);
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
    }
  }

  async #call(method: 'POST', path: string, sent: Sent): Promise<void> {
    try {
      await this.#client.call(method, path, sent);
    } catch (error) {
      throw this.#told(error);
    }
  }

  #told(error: unknown): unknown {
    if (!(error instanceof RefusedError) || error.status === 401 || error.status === 403) return error;
    const message = `message ${this.#message.id} cannot be imported: ${error.message}`;
    return new RefusedError(error.status, error.reason, message, error.details);
  }
}

/** Again and again while the server says that it cannot now, or has forgotten an import with its worker. */
async function insisting(work: () => Promise<void>): Promise<void> {
  const giveUpAtMs = performance.now() + retryWithinMs;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      const mayPass = error instanceof RefusedError && (error.status === 503 || error.status === 404);
      if (!mayPass || performance.now() > giveUpAtMs) throw error;
      await sleep(retryEveryMs);
    }
  }
}
