/** F-14: one instance per data directory. What two processes do to each other is in main.test.ts. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { renameSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { lockDataDirectory } from '../../src/primary/data-directory-lock.js';

let directory = '';
beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'postern-lock-'))));
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** `expect.stringContaining`, typed. */
function containing(text: string): string {
  const matcher: string = expect.stringContaining(text);
  return matcher;
}

/** A socket that nobody listens on: what kill -9 leaves behind. */
async function leaveStaleSocket(path: string): Promise<void> {
  const server = createServer();
  server.listen(`${path}.bound`);
  await once(server, 'listening');
  renameSync(`${path}.bound`, path); // so that closing does not find it to remove
  server.close();
  await once(server, 'close');
}

describe('F-14 the lock of a data directory', () => {
  test('refuses a second holder with the first one’s process id', async () => {
    const lock = await lockDataDirectory(directory);
    await expect(lockDataDirectory(directory)).rejects.toMatchObject({
      code: 'DATA_DIR_LOCKED',
      message: containing(`(process ${process.pid})`),
    });
    await lock.release();
  });

  test('is free after its release, and leaves nothing behind', async () => {
    for (let i = 0; i < 3; i++) await (await lockDataDirectory(directory)).release();
    expect(readdirSync(directory)).toEqual([]);
  });

  test('F-02 a lock whose holder was killed is taken over', async () => {
    await leaveStaleSocket(join(directory, 'lock.sock'));
    const lock = await lockDataDirectory(directory);
    expect(readdirSync(directory)).toEqual(['lock.sock']);
    await expect(lockDataDirectory(directory)).rejects.toMatchObject({ code: 'DATA_DIR_LOCKED' });
    await lock.release();
  });

  test('of many that find a dead lock at once, exactly one gets it', async () => {
    await leaveStaleSocket(join(directory, 'lock.sock'));
    const outcomes = await Promise.allSettled(
      Array.from({ length: 8 }, async () => lockDataDirectory(directory)),
    );
    const won = outcomes.filter((outcome) => outcome.status === 'fulfilled');
    expect(won).toHaveLength(1);
    for (const { value } of won) await value.release();
  });

  test('a holder that does not answer holds it all the same', async () => {
    const mute = createServer({ pauseOnConnect: true }).listen(join(directory, 'lock.sock'));
    await once(mute, 'listening');
    await expect(lockDataDirectory(directory)).rejects.toMatchObject({ code: 'DATA_DIR_LOCKED' });
    mute.close();
  });

  test('something else of that name is left alone and named', async () => {
    writeFileSync(join(directory, 'lock.sock'), 'an operator’s file');
    await expect(lockDataDirectory(directory)).rejects.toMatchObject({
      code: 'DATA_DIR_UNUSABLE',
      message: containing('is not a socket; remove it'),
    });
    expect(readdirSync(directory)).toEqual(['lock.sock']);
  });

  test('a path longer than a socket’s name may be is locked through a descriptor', async () => {
    const long = join(directory, 'x'.repeat(120));
    mkdirSync(long);
    const lock = await lockDataDirectory(long);
    expect(readdirSync(long)).toEqual(['lock.sock']);
    await expect(lockDataDirectory(long)).rejects.toMatchObject({ code: 'DATA_DIR_LOCKED' });
    await lock.release();
    expect(readdirSync(long)).toEqual([]);
  });
});
