import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { FrozenRoutes } from '../../src/primary/frozen-routes.js';
import { recordingLog } from '../support/recording-log.js';

let dataDir = '';
let told: string[][] = [];
const log = recordingLog();
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'postern-frozen-'));
  told = [];
  log.lines.length = 0;
});
afterEach(() => {
  rmSync(dataDir, { recursive: true, force: true });
});

const fileOf = () => join(dataDir, 'frozen-routes.json');
const open = (routes: readonly string[] = ['office', 'store']) =>
  FrozenRoutes.open({
    dataDir,
    log: log.log,
    routes,
    changed: (names) => told.push([...names]),
  });

describe('freezing and thawing a route', () => {
  test('every change is on disk before the workers are told the whole set', async () => {
    const routes = await open();
    await routes.freeze('store');
    await routes.freeze('office');
    await routes.thaw('store');
    expect(told).toEqual([['store'], ['office', 'store'], ['office']]);
    expect(routes.names).toEqual(['office']);
    expect((await open()).names).toEqual(['office']);
    expect(readdirSync(dataDir)).toEqual(['frozen-routes.json']);
  });

  test('the log says which route was frozen, which thawed, and which are frozen then', async () => {
    const routes = await open();
    await routes.freeze('store');
    await routes.thaw('store');
    expect(log.lines).toMatchObject([
      { event: 'routes.frozen', route: 'store', frozen: ['store'] },
      { event: 'routes.thawed', route: 'store', frozen: [] },
    ]);
  });

  test('doing what is done already is fine, also for two at once', async () => {
    const routes = await open();
    await Promise.all([routes.freeze('store'), routes.freeze('store'), routes.freeze('office')]);
    expect(routes.names).toEqual(['office', 'store']);
    await routes.thaw('office');
    await routes.thaw('office');
    expect((await open()).names).toEqual(['store']);
  });

  test('an unknown route is refused by name, and the next change works', async () => {
    const routes = await open();
    await expect(routes.freeze('offcie')).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: 'no route "offcie" in the config; its routes: office, store',
    });
    await routes.freeze('office');
    expect(routes.names).toEqual(['office']);
  });

  test('a route that left the config stays frozen, and can be thawed', async () => {
    const routes = await open();
    await routes.freeze('store');
    routes.setRoutes(['office']);
    expect(routes.names).toEqual(['store']);
    await routes.thaw('store');
    expect(routes.names).toEqual([]);
    await expect(routes.thaw('store')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test('what cannot be written is not in force', async () => {
    const routes = await open();
    await routes.freeze('store');
    rmSync(dataDir, { recursive: true });
    await expect(routes.freeze('office')).rejects.toMatchObject({ code: 'DATA_DIR_UNUSABLE' });
    expect([routes.names, told]).toEqual([['store'], [['store']]]);
  });
});

describe('a file that cannot be read', () => {
  test.each([
    ['', 'is empty'],
    ['{"version":1,"routes":["off', 'is cut off'],
    ['{"version":2,"routes":[]}', 'is of another version'],
    ['{"version":1,"routes":"office"}', 'holds no list'],
    ['[]', 'holds something else'],
  ])('%j: all routes are frozen where it %s, until they are thawed', async (text) => {
    writeFileSync(fileOf(), text);
    const routes = await open();
    expect(routes.names).toEqual(['office', 'store']);
    expect(log.events()).toContain('routes.freeze_file_damaged');
    expect(readFileSync(`${fileOf()}.damaged`, 'utf8')).toBe(text);
    // Also for the next start: the answer is the same until somebody gives another.
    expect((await open()).names).toEqual(['office', 'store']);
    await routes.thaw('office');
    expect((await open()).names).toEqual(['store']);
  });
});
