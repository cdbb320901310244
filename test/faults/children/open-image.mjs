/**
 * Opens crash images one after another as a worker that starts after the power came back: for each path on stdin one
 * line of JSON on stdout with what is in its queue. With "use" behind the path it also stores and delivers in it, so
 * that a file whose free list was damaged shows it. Killed by what it reads (SIGBUS, an assertion), it prints nothing.
 */
import { createHash } from 'node:crypto';
import { createInterface } from 'node:readline';

import { listSpoolFiles } from '../../../dist/base/spool-files.js';
import { openSpool } from '../../../dist/queue/lmdb-spool.js';
import { store } from '../../queue/children/spool.mjs';

const farFutureMs = 4e12;
let images = 0;

/** Without the trace field on top, which the sender has not seen. */
function digestOf(bytes) {
  const text = bytes.toString('latin1');
  let start = 0;
  if (text.startsWith('Received: ')) {
    start = text.indexOf('\r\n') + 2;
    while (text[start] === ' ' || text[start] === '\t') start = text.indexOf('\r\n', start) + 2;
  }
  const id = /^X-Test-Id: (.*?)\r$/m.exec(text)?.[1] ?? '';
  return { id, sha256: createHash('sha256').update(bytes.subarray(start)).digest('hex') };
}

async function open(directory, damaged, lost) {
  return openSpool({
    directory: `${directory}/queue`,
    slot: 0,
    incarnation: `image-${images++}`,
    smallMessageBytes: 64 * 1024,
    bytesInFlight: 64 * 2 ** 20,
    commitTimeoutMs: 20_000,
    generationBytes: 256 * 2 ** 20,
    hooks: {
      phase: () => undefined,
      commit: () => undefined,
      failed: (error) => damaged.push(`commit failed: ${error.message}`),
      damaged: (what) => damaged.push(JSON.stringify(what)),
      retired: () => lost.push(1),
      parked: (what) => damaged.push(`parked: ${what.id}`),
    },
  });
}

async function read(spool) {
  const messages = [];
  const { messages: listed } = await spool.list({}, { offset: 0, limit: 100_000 });
  for (const { id } of listed) {
    try {
      messages.push(digestOf(await spool.read(id, 0, 2 ** 30)));
    } catch (error) {
      messages.push({ id: '', sha256: '', error: String(error), qid: id });
    }
  }
  return messages;
}

/** Everything is delivered, some new mail stored: all pages that LMDB thinks free get used. */
async function use(spool) {
  const due = [...spool.due().keys()];
  for (let round = 0; round < 3; round++) await store(spool, Buffer.alloc(200_000, round + 97));
  for (const route of due) {
    for (;;) {
      const leases = await spool.lease(route, farFutureMs, 100);
      if (leases.length === 0) break;
      for (const lease of leases) {
        const results = lease.message.recipients
          .filter((recipient) => recipient.route === route)
          .map(({ address }) => ({ address, state: 'delivered', lastReply: '' }));
        await spool.settle(lease, results, 0);
      }
    }
  }
}

async function check(directory, andUse) {
  const damaged = [];
  const retired = [];
  const spool = await open(directory, damaged, retired);
  const files = (await listSpoolFiles(`${directory}/queue`)).map(({ file }) => file);
  const own = new Set(spool.openFiles());
  await spool.adopt(
    files.filter((file) => !own.has(file)),
    false,
  );
  const messages = await read(spool);
  if (andUse) await use(spool);
  await spool.close();
  return { messages, damaged };
}

for await (const line of createInterface({ input: process.stdin })) {
  const [directory, andUse] = line.split('\t');
  const result = await check(directory, andUse === 'use').catch((error) => ({
    messages: [],
    damaged: [`it cannot be opened: ${error.stack}`],
  }));
  process.stdout.write(`${JSON.stringify(result)}\n`);
}
