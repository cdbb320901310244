/**
 * A queue alone, for millions of messages: small and some large ones are stored in groups, leased, read back, deferred
 * now and then, and settled, while a backlog of some thousands moves on and small queue files come and go. Prints one
 * line of JSON per tenth (`tenth`), and at the end what the ledger says (`end`). Run with --expose-gc.
 */
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { openSpool } from '../../../dist/queue/lmdb-spool.js';
import { envelope, patternBytes, print } from '../../queue/children/spool.mjs';
import { Yardstick } from './yardstick.mjs';

const [, , directory, messagesText, generationText, backlogText, seedText] = process.argv;
const messages = Number(messagesText);
const generationBytes = Number(generationText);
const backlog = Number(backlogText);
const kib = 1024;
// Many at a time, so that each commit has many to share it.
const appenders = Math.ceil(backlog / 4);
const leasesAtATime = Math.ceil(backlog / 5);
const tenths = 10;
/** Bodies are parts of it; a prime, so that they differ from message to message. */
const pattern = patternBytes(1_048_583, 7);

let random = Number(seedText) >>> 0;
/** In [0, below). Xorshift: the same choices for the same seed. */
function draw(below) {
  random ^= random << 13;
  random ^= random >>> 17;
  random ^= random << 5;
  random >>>= 0;
  return random % below;
}

/** Every message that was begun and not yet settled: where its body begins and how long it is. */
const ledger = new Map();
const wrong = [];
const told = { commits: 0, commitSeconds: 0, retired: 0, failed: 0, damaged: 0 };
const spool = await openSpool({
  directory,
  slot: 0,
  incarnation: 'life',
  smallMessageBytes: 64 * kib,
  bytesInFlight: 64 * kib * kib,
  commitTimeoutMs: 60_000,
  generationBytes,
  // A message that is deferred for seconds holds its file for as long, then it moves.
  stragglerAfterMs: 1_000,
  hooks: {
    phase: () => undefined,
    commit: ({ seconds }) => {
      told.commits++;
      told.commitSeconds += seconds;
    },
    failed: (error) => {
      told.failed++;
      print(`failed ${error.message}`, 2);
      process.exit(1);
    },
    damaged: (what) => {
      told.damaged++;
      print(`damaged ${JSON.stringify(what)}`, 2);
    },
    retired: () => told.retired++,
  },
});

let begun = 0;
let stored = 0;
let settled = 0;
let deferred = 0;
let bytes = 0;

/** 1 to 4 KiB, one in 500 from 100 KiB to 1 MiB. */
function drawBytes() {
  return draw(500) === 0 ? 100 * kib + draw(900 * kib) : kib + draw(3 * kib);
}

async function append() {
  while (begun < messages) {
    begun++;
    const length = drawBytes();
    const from = draw(pattern.length - length);
    const writer = spool.begin(Date.now());
    ledger.set(writer.id, { from, length, wasDeferred: false });
    for (let at = from; at < from + length; at += 16_000) {
      writer.write(pattern.subarray(at, Math.min(from + length, at + 16_000)));
      if (writer.congested) await new Promise((resolve) => (writer.onWritable = resolve));
    }
    await writer.commit(envelope());
    bytes += length;
    stored++;
    if (stored - settled > backlog) await new Promise((resolve) => waiting.push(resolve));
  }
}

/** Appenders that wait until the backlog is smaller: at most all of them. */
const waiting = [];

/** A turn of the event loop and a little more. */
function later() {
  return new Promise((resolve) => setTimeout(resolve, 1));
}

async function deliver() {
  while (settled < messages) {
    const isFull = stored - settled >= backlog / 2 || stored === messages;
    const leases = isFull ? await spool.lease('office', Date.now(), leasesAtATime) : [];
    if (leases.length === 0) await later();
    else await Promise.all(leases.map(settle));
    if (settled >= (samples.length + 1) * (messages / tenths)) sample();
  }
}

async function settle(lease) {
  const { id } = lease.message;
  const known = ledger.get(id);
  if (known === undefined) {
    wrong.push(`${id} was given twice, or nobody stored it`);
    return;
  }
  const chunks = [];
  for await (const chunk of lease.body()) chunks.push(chunk);
  if (!Buffer.concat(chunks).equals(pattern.subarray(known.from, known.from + known.length)))
    wrong.push(`${id} is not what was stored`);
  const waitMs = known.wasDeferred ? 0 : drawDelayMs();
  const state = waitMs > 0 ? 'pending' : 'delivered';
  if (waitMs > 0) {
    known.wasDeferred = true;
    deferred++;
  } else {
    ledger.delete(id);
    settled++;
    waiting.shift()?.();
  }
  const results = [{ address: 'rcpt@example.test', state, lastReply: '450 4.2.0 later' }];
  await spool.settle(lease, results, Date.now() + waitMs);
}

/** One in 10 is deferred for up to a second, one in 2000 for five seconds: the others of its file are gone by then. */
function drawDelayMs() {
  if (draw(2000) === 0) return 5_000;
  return draw(10) === 0 ? 1 + draw(1_000) : 0;
}

const samples = [];
const yardstick = new Yardstick(`${directory}-beside`);
let last = { cpuSeconds: 0, commits: 0, commitSeconds: 0, settled: 0 };
let worstBytes = 0;
let worstFiles = 0;
const watch = setInterval(look, 100);

function look() {
  const slot = join(directory, 'slot-0');
  const sizes = readdirSync(slot)
    .filter((name) => name.endsWith('.mdb'))
    .map((name) => statSync(join(slot, name), { throwIfNoEntry: false })?.size ?? 0);
  worstBytes = Math.max(
    worstBytes,
    sizes.reduce((sum, size) => sum + size, 0),
  );
  worstFiles = Math.max(worstFiles, sizes.length);
}

function sample() {
  look();
  globalThis.gc();
  const status = readFileSync('/proc/self/status', 'latin1');
  const { user, system } = process.cpuUsage();
  const now = { cpuSeconds: (user + system) / 1e6, settled, ...told };
  const count = now.settled - last.settled;
  const taken = {
    settled,
    rssAnonMib: Math.round(Number(/RssAnon:\s+(\d+)/.exec(status)?.[1]) / kib),
    queueMib: Math.round(worstBytes / kib / kib),
    files: worstFiles,
    cpuSecondsPer1000: ((now.cpuSeconds - last.cpuSeconds) / count) * 1000,
    commitSecondsPer1000: ((now.commitSeconds - last.commitSeconds) / count) * 1000,
    messagesPerCommit: count / (now.commits - last.commits),
    yardstickSecondsPerCommit: yardstick.takeSecondsPerCommit(),
  };
  samples.push(taken);
  print(`tenth ${JSON.stringify(taken)}`);
  last = now;
  worstBytes = 0;
  worstFiles = 0;
}

await Promise.all([...Array.from({ length: appenders }, append), deliver()]);
clearInterval(watch);
await yardstick.close();
const queued = Object.values(spool.stats().messages).reduce((sum, count) => sum + count, 0);
await spool.close();
const filesLeft = readdirSync(join(directory, 'slot-0')).filter((name) => name.endsWith('.mdb')).length;
const { retired, failed, damaged } = told;
print(
  `end ${JSON.stringify({ stored, settled, deferred, bytes, queued, left: ledger.size, wrong: wrong.slice(0, 10), retired, failed, damaged, filesLeft, samples })}`,
);
