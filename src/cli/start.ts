/** `postern start`: loads the config, opens the log and hands both to the primary, whose exit code it returns. */
import { resolve } from 'node:path';
import { Command } from 'commander';
import { openLog } from '../base/log.js';
import { loadConfig } from '../config/load.js';
import { configOption, loadWhole, type ConfigOption } from './config-file.js';
import { refuseFileFaults } from './users-faults.js';

export function startCommand(): Command {
  return new Command('start')
    .description('run the server in the foreground until SIGTERM or SIGINT')
    .addOption(configOption())
    .action(async (options: ConfigOption) => {
      const config = loadWhole(options);
      // Each worker reads them too, but one that fails is only started again.
      await refuseFileFaults(config);
      const { log, close } = openLog(config.log.level, { role: 'primary' });
      // Here and not above: the other commands need not load the server.
      const { runPrimary } = await import('../primary/main.js');
      const configFile = resolve(options.config);
      process.exitCode = await runPrimary({
        config,
        configFile,
        load: () => loadConfig(options.config, process.env),
        log,
        closeLog: close,
      });
    });
}
