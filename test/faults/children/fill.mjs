/** Fills a slot of a queue with so many small messages for the route `office`, all in one file, and ends as a crash does. */
import { messageOf } from './message.mjs';
import { open, print, store } from '../../queue/children/spool.mjs';

const [, , directory, slot, count] = process.argv;
const { spool } = await open(directory, 'fill', { slot: Number(slot), generationBytes: 2 ** 40 });
let next = 0;
async function fill() {
  while (next < Number(count)) await store(spool, messageOf(`fill-${slot}-${next++}`, 400));
}
await Promise.all(Array.from({ length: 2_000 }, fill));
print('filled');
process.kill(process.pid, 'SIGKILL');
