/** Stores and delivers through many queue files, and prints RssAnon after each tenth of them (run with --expose-gc). */
import { readFileSync, readdirSync } from 'node:fs';
import { open, patternBytes, print, store } from './spool.mjs';

const [, , directory, rotations] = process.argv;
const { spool } = await open(directory, 'rotating', { generationBytes: 1 });
const megabytes = [];
const body = patternBytes(4000, 1);

for (let i = 0; i < Number(rotations); i++) {
  const [file] = spool.openFiles().slice(-1);
  await store(spool, body);
  for (const lease of await spool.lease('office', Date.now(), 10)) {
    for await (const chunk of lease.body()) if (chunk.length !== body.length) throw new Error('damaged');
    await spool.settle(lease, [{ address: 'rcpt@example.test', state: 'delivered', lastReply: '' }], 0);
  }
  while (spool.openFiles().includes(file)) await new Promise((resolve) => setTimeout(resolve, 1));
  if (i % Math.ceil(rotations / 10) > 0) continue;
  globalThis.gc();
  megabytes.push(
    Math.round(Number(/RssAnon:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'latin1'))?.[1]) / 1024),
  );
}
const files = readdirSync(`${directory}/slot-0`).filter((name) => name !== 'reserve').length;
await spool.close();
print(JSON.stringify({ megabytes, files }));
