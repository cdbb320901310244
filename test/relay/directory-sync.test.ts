import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

import { DirectorySync } from '../../src/relay/directory-sync.js';

describe('fsync of a directory', () => {
  it('is shared by those who wait, and repeated for those who come later', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'postern-sync-'));
    const sync = new DirectorySync(directory);
    const first = sync.sync();
    const second = sync.sync();
    expect(sync.sync()).toBe(second);
    expect(second).not.toBe(first);
    const order: string[] = [];
    await Promise.all([first.then(() => order.push('first')), second.then(() => order.push('second'))]);
    expect(order).toEqual(['first', 'second']);
    await sync.sync();
    await rm(directory, { recursive: true });
  });

  it('fails for all who wait when the directory is gone, and works when it is back', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'postern-sync-'));
    const sync = new DirectorySync(join(directory, 'none'));
    const results = await Promise.allSettled([sync.sync(), sync.sync(), sync.sync()]);
    expect(results.map((result) => result.status)).toEqual(['rejected', 'rejected', 'rejected']);
    await rm(directory, { recursive: true });
  });
});
