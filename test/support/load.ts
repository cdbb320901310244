/**
 * The load generator, the sink and the comparison of bench/load as end-to-end tests use them: our own processes, so that
 * a busy test runner does not slow them.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { until } from './processes.js';
import { root } from './postern.js';
import { Program, run } from './program.js';

const script = (name: string): string => join(root, 'bench/load', name);

export interface LoadResult {
  readonly counts: Record<'acked' | 'refused' | 'noReply' | 'notSent' | 'connectionsLost', number>;
  readonly troubles: Readonly<Record<string, number>>;
  readonly seconds: number;
  readonly messagesPerSecond: number;
}

export interface Comparison {
  readonly acked: number;
  readonly received: number;
  /** Ids: acknowledged and never came; came with other bytes; came more than once; came though refused or never sent. */
  readonly lost: readonly string[];
  readonly changed: readonly string[];
  readonly doubled: readonly string[];
  readonly unasked: readonly string[];
}

/** Runs the generator to its end. @param args as of `node bench/load/load.mjs --help`, without --json */
export async function runLoad(port: number, args: readonly string[]): Promise<LoadResult> {
  const load = startLoad(port, args);
  await load.program.exited;
  return load.result();
}

/** Starts it and leaves it running; `result()` after its exit. SIGTERM to it: no new messages, then its result. */
export function startLoad(
  port: number,
  args: readonly string[],
): { program: Program; result: () => LoadResult } {
  const directory = mkdtempSync(join(tmpdir(), 'postern-load-'));
  const json = join(directory, 'result.json');
  const all = ['--server', `127.0.0.1:${port}`, '--quiet', '--json', json, ...args];
  const program = new Program(process.execPath, [script('load.mjs'), ...all]);
  const result = (): LoadResult => {
    try {
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- written by the generator in this shape
      return JSON.parse(readFileSync(json, 'utf8')) as LoadResult;
    } catch (error) {
      throw new Error(`the load generator left no result: ${program.output}`, { cause: error });
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  };
  return { program, result };
}

export interface RunningSink {
  readonly port: number;
  readonly program: Program;
  /** Flushes its records and ends it. */
  stop(): Promise<void>;
}

/** @param args as of `node bench/load/sink.mjs --help`; with `--record FILE` for compareRecords() */
export async function startSink(args: readonly string[] = []): Promise<RunningSink> {
  const program = new Program(process.execPath, [script('sink.mjs'), ...args]);
  const port = await until('the sink listens', () => {
    if (!program.isRunning) throw new Error(`the sink ended: ${program.output}`);
    return Number(/^listening (\d+)$/.exec(program.stdout[0] ?? '')?.[1] ?? 0) || undefined;
  });
  return { port, program, stop: async () => void (await program.stop()) };
}

/** What the generator recorded against what the sink did, both by then stopped. */
export async function compareRecords(sentFile: string, receivedFile: string): Promise<Comparison> {
  const { stdout, stderr } = await run(process.execPath, [script('compare.mjs'), sentFile, receivedFile]);
  if (stdout === '') throw new Error(`the comparison failed: ${stderr}`);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- printed by compare.mjs in this shape
  return JSON.parse(stdout) as Comparison;
}
