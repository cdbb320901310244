import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { keptToken, TokenCheck, tokenFile } from '../../../src/primary/admin/token.js';
import { call, startHarness, temporaryDataDir } from './harness.js';

describe('the token of our own', () => {
  it('is made once, is 0600, and is the same after a restart', async () => {
    const directory = await temporaryDataDir();
    const first = await keptToken(directory);
    expect(first).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect((await stat(tokenFile(directory))).mode & 0o777).toBe(0o600);
    expect(await keptToken(directory)).toBe(first);
    expect(await readFile(tokenFile(directory), 'utf8')).toBe(`${first}\n`);
    expect(await readdir(directory)).toEqual(['admin.token']);
  });

  it('differs between two services', async () => {
    expect(await keptToken(await temporaryDataDir())).not.toBe(await keptToken(await temporaryDataDir()));
  });

  it('a file that others can read is closed to them', async () => {
    const directory = await temporaryDataDir();
    await keptToken(directory);
    await chmod(tokenFile(directory), 0o644);
    await keptToken(directory);
    expect((await stat(tokenFile(directory))).mode & 0o777).toBe(0o600);
  });

  it.each(['', '\n', 'short', 'x'.repeat(200), 'not a token but forty-three characters long!!'])(
    'a file that holds %j is replaced: an empty token would let anybody in',
    async (content) => {
      const directory = await temporaryDataDir();
      await writeFile(tokenFile(directory), content, { mode: 0o644 });
      expect(await keptToken(directory)).toMatch(/^[A-Za-z0-9_-]{43}$/);
      expect((await stat(tokenFile(directory))).mode & 0o777).toBe(0o600);
    },
  );

  it('a data directory that cannot hold it is DATA_DIR_UNUSABLE with the file’s name', async () => {
    const directory = await temporaryDataDir();
    await mkdir(tokenFile(directory));
    await expect(keptToken(directory)).rejects.toMatchObject({ code: 'DATA_DIR_UNUSABLE', message: expect.stringContaining('admin.token') });
    await expect(keptToken(join(directory, 'missing'))).rejects.toMatchObject({ code: 'DATA_DIR_UNUSABLE' });
  }); // prettier-ignore

  it('opens the API when the config has none', async () => {
    const harness = await startHarness({ token: undefined });
    const token = (await readFile(tokenFile(harness.dataDir), 'utf8')).trim();
    expect((await call(harness, 'GET', '/api/v1/status')).status).toBe(401);
    expect((await call(harness, 'GET', '/api/v1/status', { authorization: `Bearer ${token}` })).status).toBe(200);
  }); // prettier-ignore
});

describe('the check', () => {
  it('takes exactly the token, of any length', () => {
    const check = new TokenCheck('a');
    expect(check.accepts('Bearer a')).toBe(true);
    expect(check.accepts('Bearer  a')).toBe(true);
    for (const wrong of [undefined, '', 'a', 'Bearer', 'Bearer ', 'Bearer aa', 'Bearer A', 'Bearer a b', 'XBearer a'])
      expect(check.accepts(wrong)).toBe(false);
  }); // prettier-ignore
});
