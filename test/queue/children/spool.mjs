/** For the child processes of the durability tests: a spool of the built code, and messages for it. */
import { writeSync } from 'node:fs';
import { openSpool } from '../../../dist/queue/lmdb-spool.js';

/** Straight to the descriptor: what is printed was printed, whatever kills the process next. */
export function print(line, fd = 1) {
  writeSync(fd, `${line}\n`);
}

export async function open(directory, incarnation, { hooks = {}, ...options } = {}) {
  const failed = [];
  const full = [];
  const spool = await openSpool({
    directory,
    slot: 0,
    incarnation,
    smallMessageBytes: 64 * 1024,
    bytesInFlight: 64 * 2 ** 20,
    commitTimeoutMs: 20_000,
    generationBytes: 256 * 2 ** 20,
    ...options,
    hooks: {
      phase: () => undefined,
      commit: () => undefined,
      failed: (error) => failed.push(error.code),
      damaged: (what) => print(`damaged ${JSON.stringify(what)}`, 2),
      retired: () => undefined,
      diskFull: (is) => full.push(is),
      ...hooks,
    },
  });
  return { spool, failed, full };
}

export function envelope() {
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
  };
}

/** The same as patternBytes in harness.ts. */
export function patternBytes(length, seed) {
  const bytes = Buffer.allocUnsafe(length);
  let value = seed;
  for (let i = 0; i < length; i++) {
    value = (Math.imul(value, 1_103_515_245) + 12_345) >>> 0;
    bytes[i] = value >>> 16;
  }
  return bytes;
}

export async function store(spool, body, sliceBytes = 65_536) {
  const writer = spool.begin(Date.now());
  for (let at = 0; at < body.length; at += sliceBytes) {
    writer.write(body.subarray(at, at + sliceBytes));
    if (writer.congested) await new Promise((resolve) => (writer.onWritable = resolve));
  }
  await writer.commit(envelope());
  return writer.id;
}
