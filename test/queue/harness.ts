/** Spools in temporary directories, messages for them, and what their hooks were told. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { openSpool } from '../../src/queue/lmdb-spool.js';
import type { Lease, NewEnvelope, RecipientResult, Spool, SpoolOptions } from '../../src/queue/spool.js';

interface Told {
  readonly commits: { readonly seconds: number; readonly messages: number }[];
  readonly failed: Error[];
  readonly damaged: { readonly file: string; readonly id?: string; readonly reason: string }[];
  readonly unusable: { readonly file: string; readonly reason: string }[];
  readonly retired: string[];
  readonly phases: string[];
  readonly parked: { readonly id: string; readonly reason: string }[];
  readonly full: boolean[];
}

export interface TestSpool {
  readonly spool: Spool;
  readonly told: Told;
}

let incarnations = 0;

/** Spools that share one data directory; `end` closes and removes everything. */
export class SpoolBench {
  readonly #open: Spool[] = [];
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async make(): Promise<SpoolBench> {
    return new SpoolBench(join(await mkdtemp(join(tmpdir(), 'postern-queue-')), 'queue'));
  }

  async open(options: Partial<SpoolOptions> = {}): Promise<TestSpool> {
    const told: Told = {
      commits: [],
      failed: [],
      damaged: [],
      unusable: [],
      retired: [],
      phases: [],
      parked: [],
      full: [],
    };
    const spool = await openSpool({
      directory: this.directory,
      slot: 0,
      incarnation: `test-${process.pid}-${++incarnations}`,
      smallMessageBytes: 64 * 1024,
      bytesInFlight: 64 * 2 ** 20,
      commitTimeoutMs: 20_000,
      generationBytes: 256 * 2 ** 20,
      hooks: {
        phase: (phase) => told.phases.push(phase?.kind ?? 'idle'),
        commit: (observed) => told.commits.push(observed),
        failed: (error) => told.failed.push(error),
        damaged: (what) => told.damaged.push(what),
        unusable: (what) => told.unusable.push(what),
        retired: (file) => told.retired.push(file),
        parked: (what) => told.parked.push(what),
        diskFull: (full) => told.full.push(full),
      },
      ...options,
    });
    this.#open.push(spool);
    return { spool, told };
  }

  async end(): Promise<void> {
    for (const spool of this.#open) await spool.close();
    await rm(join(this.directory, '..'), { recursive: true });
  }
}

export function envelope(change: Partial<NewEnvelope> = {}): NewEnvelope {
  return {
    reversePath: 'sender@example.org',
    recipients: [{ address: 'rcpt@example.test', route: 'office' }],
    body: '8BITMIME',
    smtpUtf8: false,
    arrivedAtMs: Date.now(),
    listener: 'mx',
    clientAddress: '192.0.2.1',
    clientName: 'client.example.org',
    user: '',
    sessionId: 'SESSION',
    ...change,
  };
}

/** Bytes that differ from place to place, so that a lost, doubled or swapped chunk shows. */
export function patternBytes(length: number, seed = 1): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let value = seed;
  for (let i = 0; i < length; i++) {
    value = (Math.imul(value, 1_103_515_245) + 12_345) >>> 0;
    bytes[i] = value >>> 16;
  }
  return bytes;
}

export function room(writer: { congested: boolean; onWritable: (() => void) | undefined }): Promise<void> {
  if (!writer.congested) return Promise.resolve();
  return new Promise((resolve) => {
    writer.onWritable = resolve;
  });
}

/** Writes in slices as a well-behaved worker does, and commits. Returns the id. */
export async function store(
  spool: Spool,
  body: Buffer,
  change: Partial<NewEnvelope> = {},
  sliceBytes = 16_000,
): Promise<string> {
  const writer = spool.begin(Date.now());
  for (let at = 0; at < body.length; at += sliceBytes) {
    writer.write(body.subarray(at, at + sliceBytes));
    await room(writer);
  }
  await writer.commit(envelope(change));
  return writer.id;
}

export async function bodyOf(lease: Lease): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of lease.body()) chunks.push(chunk);
  return Buffer.concat(chunks);
}

export async function leaseOne(spool: Spool, route = 'office', nowMs = Date.now()): Promise<Lease> {
  const [lease] = await spool.lease(route, nowMs, 1);
  if (lease === undefined) throw new Error('nothing is due');
  return lease;
}

export function result(state: RecipientResult['state'], address = 'rcpt@example.test'): RecipientResult {
  return { address, state, lastReply: state === 'delivered' ? '250 2.0.0 Ok' : '450 4.2.0 try later' };
}

export async function deliverAll(spool: Spool, route = 'office'): Promise<string[]> {
  const ids: string[] = [];
  for (;;) {
    const leases = await spool.lease(route, Date.now(), 100);
    if (leases.length === 0) return ids;
    for (const lease of leases) {
      const results = lease.message.recipients.map(({ address }) => result('delivered', address));
      await spool.settle(lease, results, 0);
      ids.push(lease.message.id);
    }
  }
}

export function listAll(spool: Spool): ReturnType<Spool['list']> {
  return spool.list({}, { offset: 0, limit: 1000 });
}

/** Until the condition holds; the test's time-out is the bound. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5));
}
