/**
 * On a small disk (the test mounts it): 'fill' stores until the queue says that it is full, and lets somebody else take
 * what is left; 'drain' defers and delivers all of it while the disk is full, then stores again. Both in one process
 * ('fill-drain') or in two. Prints what came of it as JSON.
 */
import { appendFileSync, existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { open, patternBytes, print, store } from './spool.mjs';

const [, , directory, step, bytes] = process.argv;
const slot = `${directory}/slot-0`;
const other = `${directory}/other`;
const note = `${directory}/../../acknowledged`;
let unhandled = 0;
process.on('unhandledRejection', () => unhandled++);

const left = existsSync(slot) ? readdirSync(slot).filter((name) => name.endsWith('.mdb')) : [];
const { spool, failed, full } = await open(directory, `full-${step}`, { generationBytes: 2 ** 30 });

async function until(condition) {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 20));
}

function same(one, two) {
  return one.length === two.length && new Set([...one, ...two]).size === one.length;
}

/** Ids of what was acknowledged, until some were refused. */
async function fill() {
  await until(() => readdirSync(slot).includes('reserve'));
  const acknowledged = [];
  const refused = new Set();
  for (let seed = 1; refused.size === 0; seed++) {
    const some = Array.from({ length: 4 }, (_, i) => store(spool, patternBytes(Number(bytes), seed + i)));
    for (const { status, value, reason } of await Promise.allSettled(some))
      if (status === 'fulfilled') acknowledged.push(value);
      else refused.add(reason.code);
  }
  const listed = await spool.select({});
  // What was begun before it was refused is removed in a transaction of its own, which must not be under way now.
  await new Promise((resolve) => setTimeout(resolve, 500));
  try {
    for (;;) appendFileSync(other, Buffer.alloc(65_536, 1));
  } catch {
    // Full to the last page.
  }
  return { acknowledged, refused: [...refused], listedAll: same(acknowledged, listed) };
}

/** All that is due; some are only deferred. */
async function settleDue(isDeferred) {
  const delivered = [];
  const deferred = [];
  for (;;) {
    const leases = await spool.lease('office', Date.now(), 100);
    if (leases.length === 0) return { delivered, deferred };
    await Promise.all(leases.map((lease, i) => settleOne(lease, isDeferred(i) ? deferred : delivered)));
  }
  function settleOne(lease, list) {
    list.push(lease.message.id);
    return list === delivered
      ? settle(lease, 'delivered', 0)
      : settle(lease, 'pending', Date.now() + 3_600_000);
  }
}

async function settle(lease, state, nextAttemptAtMs) {
  let length = 0;
  for await (const chunk of lease.body()) length += chunk.length;
  if (length !== lease.message.bytes) throw new Error('damaged');
  await spool.settle(lease, [{ address: 'rcpt@example.test', state, lastReply: '450' }], nextAttemptAtMs);
}

async function drain(acknowledged) {
  const first = await settleDue((i) => i % 10 === 0);
  const listed = await spool.select({ state: 'deferred' });
  await Promise.all(first.deferred.map((id) => spool.retry(id)));
  const { delivered } = await settleDue(() => false);
  delivered.push(...first.delivered);
  rmSync(other);
  await until(() => full.at(-1) === false && readdirSync(slot).includes('reserve'));
  await store(spool, patternBytes(1000, 1));
  return { deferredAll: same(first.deferred, listed), deliveredAll: same(acknowledged, delivered) };
}

let filled;
if (step.startsWith('fill')) {
  filled = await fill();
  writeFileSync(note, JSON.stringify(filled));
} else {
  filled = JSON.parse(readFileSync(note, 'utf8'));
  await spool.adopt(
    left.map((name) => `${slot}/${name}`),
    true,
  );
}
const drained = step.endsWith('drain') ? await drain(filled.acknowledged) : {};
const { acknowledged, ...rest } = filled;
print(JSON.stringify({ ...rest, ...drained, some: acknowledged.length > 10, failed, full, unhandled }));
// As after a crash: what was not on disk by now is gone.
process.kill(process.pid, 'SIGKILL');
