/**
 * Small files, of which all but every tenth message leaves at once, so that what stays is moved from file to file for
 * ever. Prints what was acknowledged and what was delivered, each before it can be known otherwise. Killed by the test.
 */
import { open, patternBytes, print, store } from './spool.mjs';

const [, , directory, incarnation, ...files] = process.argv;
const { spool } = await open(directory, incarnation, { generationBytes: 100_000, stragglerAfterMs: 20 });
await spool.adopt(files, false);
for (const id of await spool.select({ state: 'active' })) await spool.hold(id);
for (let seed = 1; ; seed++) {
  const length = seed % 7 === 0 ? 150_000 : 100 + ((seed * 37) % 9000);
  const id = await store(spool, patternBytes(length, seed));
  print(`acknowledged ${id} ${length} ${seed}`);
  if (seed % 10 === 0) {
    await spool.hold(id);
    continue;
  }
  for (const lease of await spool.lease('office', Date.now(), 10)) {
    print(`delivered ${lease.message.id}`);
    await spool.settle(lease, [{ address: 'rcpt@example.test', state: 'delivered', lastReply: '' }], 0);
  }
}
