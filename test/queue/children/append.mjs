/** Stores messages for ever, several at once, and prints each as soon as it is acknowledged. Killed by the test. */
import { open, patternBytes, print, store } from './spool.mjs';

const [, , directory, incarnation, ...files] = process.argv;
const { spool } = await open(directory, incarnation, { generationBytes: 2 * 2 ** 20 });
void spool.adopt(files, true);
let next = 0;
async function appendForEver() {
  for (;;) {
    const seed = ++next;
    const length = seed % 10 === 0 ? 250_000 : 100 + ((seed * 37) % 9000);
    const id = await store(spool, patternBytes(length, seed));
    print(`acknowledged ${id} ${length} ${seed}`);
  }
}
await Promise.all(Array.from({ length: 8 }, appendForEver));
