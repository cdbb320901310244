/** One message that commits, then several at once on a disk that fails (the test injects it); prints what came of them. */
import { envelope, open, patternBytes, print, store } from './spool.mjs';

const [, , directory, commitTimeoutMs] = process.argv;
let unhandled = 0;
process.on('unhandledRejection', () => unhandled++);

const { spool, failed, full } = await open(directory, 'failing', {
  commitTimeoutMs: Number(commitTimeoutMs),
});
const before = await store(spool, patternBytes(1000, 1));
const half = spool.begin(Date.now());
half.write(patternBytes(200_000, 2));
const together = [1, 2, 3].map((seed) => store(spool, patternBytes(1000, seed)));
const outcomes = (await Promise.allSettled(together)).map(({ status, reason }) => reason?.code ?? status);
const late = store(spool, patternBytes(200_000, 3));
const held = Promise.allSettled([spool.hold(before)]);
const settled = await Promise.allSettled([half.commit(envelope()), late]);
// As long as a commit that was written after all would take.
await new Promise((resolve) => setTimeout(resolve, 300));
const { total } = await spool.list({}, { offset: 0, limit: 1 });
await spool.close();
settled.push(...(await held));
print(
  JSON.stringify({
    outcomes,
    later: settled.map(({ status, reason }) => reason?.code ?? status),
    failed,
    full,
    unhandled,
    listed: total,
  }),
);
// A commit that hangs keeps its thread: the worker, too, exits without waiting for it.
process.kill(process.pid, 'SIGKILL');
