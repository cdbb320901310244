/** What a session keeps of what it is fed: the sessions of all states together hold on to no more than their bounds. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';

import { ForgetfulCaller } from './forgetful-caller.js';
import { decide, setupNames, setupOf, type SetupName } from './setups.js';

const fedBytes = 192 * 1024;
const chunkBytes = 16 * 1024;
// The longest line is 12 KiB, and what a message needs besides its bytes is less; the rest is the collector's.
const maxKeptBytes = 48 * 1024;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Buffers are given back by another thread, some time after the collection that found them. */
async function heldBytes(): Promise<number> {
  for (let times = 0; times < 4; times++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function pour(setup: SetupName, unit: string): ForgetfulCaller {
  const { options, lead } = setupOf(setup);
  const caller = new ForgetfulCaller(options, decide(setup)).say(lead);
  for (let fed = 0; fed < fedBytes; fed += chunkBytes) caller.feed(Buffer.alloc(chunkBytes, unit, 'latin1'));
  return caller;
}

test.each([
  ['a line without end', 'x'],
  ['lines', 'x\r\n'],
  ['header fields', 'Received: by mx.test;\r\n'],
  ['recipients that are refused', 'RCPT TO:<n@no.test>\r\n'],
  ['CR alone', 'a\r'],
])('A-060 A-061 A-062: no state keeps what it is fed: %s', async (_, unit) => {
  const pourAll = (): ForgetfulCaller[] =>
    setupNames.flatMap((setup) => [pour(setup, unit), pour(setup, unit)]);
  pourAll(); // what is made once is there
  const before = await heldBytes();
  const open = pourAll();
  const kept = ((await heldBytes()) - before) / open.length;
  expect(kept).toBeLessThan(maxKeptBytes);
  expect(open).not.toEqual([]);
});
