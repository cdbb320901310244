/** `postern check`: every fault of a config file at once, or what it would do in a few lines. */
import { Command } from 'commander';
import type { Config } from '../config/config.js';
import { configError, loadWithPlaces } from '../config/load.js';
import { RelayDecision } from '../policy/relay-decision.js';
import { count } from './amounts.js';
import { configOption, type ConfigOption } from './config-file.js';
import { loginWarnings } from './login-warnings.js';
import { checkMachine, warnings } from './machine.js';
import { templateFaults } from './template-faults.js';
import { usersFaults } from './users-faults.js';

export function checkCommand(): Command {
  return new Command('check')
    .description(
      'check a config file and everything that it needs of this machine; exit code 2 when it has faults',
    )
    .addOption(configOption())
    .action(async (options: ConfigOption) => {
      const { config, list } = loadWithPlaces(options.config, process.env);
      list.faults.push(...(await usersFaults(config)), ...templateFaults(config));
      checkMachine(config, list);
      if (list.faults.length > 0) throw configError(list.faults);
      for (const warning of [...warnings(config, new Date()), ...(await loginWarnings(config))])
        process.stderr.write(`postern: warning: ${warning}\n`);
      process.stdout.write(`${options.config}: ok\n${summary(config)}`);
    });
}

function summary(config: Config): string {
  const listeners = config.listeners.map(
    ({ name, address, port, role, tls }) => `${name} (${role}, ${address} port ${port}, tls ${tls})`,
  );
  const names = config.domains.flatMap((domain) => (domain.recipients.kind === 'none' ? [] : domain.names));
  const shown = names.slice(0, 5).join(', ') + (names.length > 5 ? ` and ${names.length - 5} more` : '');
  const postmaster = new RelayDecision(config).postmaster?.address;
  return [
    `  listens: ${listeners.join('; ')}`,
    `  accepts mail for: ${shown === '' ? 'nobody but users who log in' : shown}`,
    `  takes mail for <postmaster> to: ${postmaster ?? 'nobody'}`,
    `  hands it to: ${Object.keys(config.routes).join(', ')}`,
    `  keeps its data in: ${config.dataDir}, with ${count(config.workers, 'worker')}`,
    '',
  ].join('\n');
}
