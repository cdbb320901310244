/** Reads what the shim recorded: every write, sync and change of a directory of one run, in the order of their ends. */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

const magic = 0x504d4c46;
const headBytes = 56;
const operations = {
  1: 'create',
  2: 'write',
  3: 'truncate',
  4: 'sync',
  5: 'unlink',
  6: 'rename',
  7: 'mkdir',
} as const;

/** Times are CLOCK_MONOTONIC in nanoseconds. */
export interface Operation {
  readonly op: (typeof operations)[keyof typeof operations];
  readonly beginNs: bigint;
  readonly endNs: bigint;
  readonly inode: bigint;
  readonly path: string;
  /** Of a rename. */
  readonly to: string;
  /** A write through O_DSYNC: on disk at its end. */
  readonly durable: boolean;
  /** Of a write; a truncate's new size. */
  readonly offset: number;
  readonly data: Buffer;
}

/** @param prefix as FAULTS_RECORD. What failed has changed nothing and is left out. */
export function readRecording(prefix: string): Operation[] {
  const names = readdirSync(dirname(prefix)).filter((name) => name.startsWith(`${basename(prefix)}.`));
  const all = names.flatMap((name) => readOne(join(dirname(prefix), name)));
  return all.sort((a, b) => (a.endNs < b.endNs ? -1 : a.endNs > b.endNs ? 1 : 0));
}

function readOne(file: string): Operation[] {
  const bytes = readFileSync(file);
  const found: Operation[] = [];
  for (let at = 0; at < bytes.length;) {
    // Its process was killed while it wrote the last one.
    if (bytes.length - at < headBytes) break;
    if (bytes.readUInt32LE(at) !== magic) throw new Error(`${file} is no record at ${at}`);
    const pathBytes = bytes.readUInt32LE(at + 12);
    const dataBytes = Number(bytes.readBigUInt64LE(at + 48));
    const end = at + headBytes + pathBytes + dataBytes;
    if (end > bytes.length) break;
    if (bytes.readInt32LE(at + 8) === 0) found.push(operationAt(bytes, at, pathBytes, end));
    at = end;
  }
  return found;
}

function operationAt(bytes: Buffer, at: number, pathBytes: number, end: number): Operation {
  const op = Reflect.get(operations, bytes.readUInt16LE(at + 4)) as Operation['op'];
  const dataAt = at + headBytes + pathBytes;
  const [path = '', to = ''] = bytes.toString('utf8', at + headBytes, dataAt).split('\0');
  return {
    op,
    beginNs: bytes.readBigUInt64LE(at + 16),
    endNs: bytes.readBigUInt64LE(at + 24),
    inode: bytes.readBigUInt64LE(at + 32),
    path,
    to,
    durable: bytes.readUInt16LE(at + 6) === 1,
    offset: Number(bytes.readBigInt64LE(at + 40)),
    data: bytes.subarray(dataAt, end),
  };
}
