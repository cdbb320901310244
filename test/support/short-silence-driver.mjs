/**
 * Stands in for `postern start --config FILE` (startPostern's nodeArguments): the built primary with real workers, and
 * less patience with silent ones than the service has (SILENCE_BOUND_MS).
 */
import { join, resolve } from 'node:path';

const dist = resolve(import.meta.dirname, '../../dist');
const { runPrimary } = await import(join(dist, 'primary/main.js'));
const { loadConfig } = await import(join(dist, 'config/load.js'));
const { openLog } = await import(join(dist, 'base/log.js'));

const configFile = process.argv.at(-1);
const load = () => loadConfig(configFile, {});
const { log, close } = openLog('info', { role: 'primary' });
process.exitCode = await runPrimary({
  config: load(),
  configFile,
  load,
  log,
  closeLog: close,
  silenceBoundMs: Number(process.env['SILENCE_BOUND_MS']),
});
