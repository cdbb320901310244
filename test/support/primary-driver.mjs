/**
 * Runs the built primary with the fake worker. The config is a JSON file that is not checked: what the tests of the
 * primary need beside `dataDir`, `workers`, `admin`, `listeners` and `limits` is `fake`, read by fake-worker.mjs.
 */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '../..');
const { runPrimary } = await import(join(root, 'dist/primary/main.js'));
const { openLog } = await import(join(root, 'dist/base/log.js'));
const { ConfigError } = await import(join(root, 'dist/config/faults.js'));

const [configFile, silenceBoundMs] = process.argv.slice(2);

function load() {
  const config = JSON.parse(readFileSync(configFile, 'utf8'));
  if (config.bug) setImmediate(() => null.bug);
  if (config.faults) throw new ConfigError('CONFIG_INVALID', config.faults);
  return config;
}

const { log, close } = openLog('info', { role: 'primary' });
process.exitCode = await runPrimary({
  config: load(),
  configFile,
  load,
  log,
  closeLog: close,
  workerFile: join(root, 'test/support/fake-worker.mjs'),
  silenceBoundMs: silenceBoundMs === undefined ? undefined : Number(silenceBoundMs),
});
