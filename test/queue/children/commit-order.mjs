/** Commits one small and one large message between marks on stderr, for strace to show what happens between them. */
import { open, patternBytes, print, store } from './spool.mjs';

const { spool } = await open(process.argv[2], 'order');
for (const [name, length] of [
  ['small', 5000],
  ['large', 300_000],
]) {
  const body = patternBytes(length, 1);
  print(`MARK ${name} begin`, 2);
  await store(spool, body);
  print(`MARK ${name} committed`, 2);
}
await spool.close();
