/** Two commits, a third whose meta page cannot be written (the test injects it); prints what reading says after that. */
import { LmdbEnv } from '../../../dist/queue/lmdb-env.js';
import { print } from './spool.mjs';

const [, , file] = process.argv;
const env = new LmdbEnv(file, 5_000);
const key = Buffer.from('k');
for (const value of ['first', 'second']) await env.batch(() => env.put(key, Buffer.from(value)));
const commit = await outcomeOf(() => env.batch(() => env.put(key, Buffer.from('third'))));
const reads = [() => env.get(key), () => env.keys(key, Buffer.from('l'), 1)];
print(JSON.stringify({ commit, reads: await Promise.all(reads.map(outcomeOf)) }));
// Closing it may wait for ever.
process.kill(process.pid, 'SIGKILL');

async function outcomeOf(what) {
  try {
    await what();
    return 'done';
  } catch (error) {
    return error.code;
  }
}
