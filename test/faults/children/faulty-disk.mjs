/**
 * A queue on a disk of which the shim makes one call fail: takes and gives messages until the queue gives up, or 260
 * rounds are done, or ten more since the call failed. Prints `sent`, `acked`, `refused` and `given` as they happen (as churn.mjs), and at the end one line
 * of JSON: the codes of failures, and rejections that nobody handled. Then it goes as a crashed worker does.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

import { messageOf } from './message.mjs';
import { envelope, open, print } from '../../queue/children/spool.mjs';

const [, , directory] = process.argv;
const rounds = 260;
const roundsAfter = 10;
// See shim.ts: the process that the fault struck.
const hasStruck = () => readFileSync(process.env.FAULTS_CONTROL).readUInt32LE(28) !== 0;
const monotonicMs = () => Number(process.hrtime.bigint()) / 1e6;
let unhandled = 0;
// lmdb-js raises some of its own for a commit whose rejection was handled; those come with the failure.
process.on('unhandledRejection', () => setImmediate(() => (failed.length === 0 ? unhandled++ : undefined)));

let failed = [];
let over = false;

async function send(spool, id, bytes) {
  const body = messageOf(id, bytes);
  print(`sent ${id} ${createHash('sha256').update(body).digest('hex')}`);
  const writer = spool.begin(Date.now());
  try {
    for (let at = 0; at < body.length; at += 65_536) {
      writer.write(body.subarray(at, at + 65_536));
      if (writer.congested) await new Promise((resolve) => (writer.onWritable = resolve));
    }
    await writer.commit(envelope());
    print(`acked ${id} ${monotonicMs()}`);
  } catch (error) {
    print(`refused ${id} ${monotonicMs()}`);
    if (failed.length > 0) over = true;
    else print(`code ${error.code}`);
  }
}

async function give(spool) {
  for (const lease of await spool.lease('office', Date.now(), 1)) {
    const head = await spool.read(lease.message.id, 0, 200);
    print(`given ${/^X-Test-Id: (.*?)\r$/m.exec(head.toString('latin1'))[1]} ${monotonicMs()}`);
    await spool.settle(lease, [{ address: 'rcpt@example.test', state: 'delivered', lastReply: '' }], 0);
  }
}

async function work() {
  const opened = await open(directory, `faulty-${process.pid}`, {
    generationBytes: 300_000,
    commitTimeoutMs: 5_000,
  });
  failed = opened.failed;
  let left = Infinity;
  for (let round = 0; round < rounds && left > 0 && !over; round++) {
    if (left < Infinity) left--;
    else if (hasStruck()) left = roundsAfter;
    const sends = [send(opened.spool, `a${round}`, 500 + round * 10)];
    if (round % 3 === 0) sends.push(send(opened.spool, `b${round}`, 5_000));
    if (round % 20 === 0) sends.push(send(opened.spool, `c${round}`, 150_000));
    // Half of the mail goes, half stays.
    if (round % 2 === 0) sends.push(give(opened.spool).catch(() => (over = failed.length > 0)));
    await Promise.all(sends);
  }
}

let start = 'ok';
try {
  await work();
} catch (error) {
  start = error.code ?? String(error);
}
// As long as a commit that was written after all would take.
await new Promise((resolve) => setTimeout(resolve, 50));
print(JSON.stringify({ start, failed, unhandled }));
process.kill(process.pid, 'SIGKILL');
