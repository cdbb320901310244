/** `postern queue freeze` and `thaw`: mail for a frozen route is accepted and waits; nothing is tried there. */
import { Command } from 'commander';
import { AdminClient } from './admin-client.js';
import { configOption, type ConfigOption } from './config-file.js';
import { jsonOption, printJson, printLines, type JsonOption } from './output.js';

export function freezeCommand(change: 'freeze' | 'thaw'): Command {
  const description =
    change === 'freeze'
      ? 'try nothing on routes until they are thawed; their mail is accepted and waits'
      : 'let frozen routes go on';
  return new Command(change)
    .description(description)
    .argument('<routes...>', 'names under `routes` of the config')
    .addOption(configOption())
    .addOption(jsonOption())
    .action(async (routes: string[], options: ConfigOption & JsonOption) => {
      const client = new AdminClient(options);
      for (const route of routes)
        await client.call('POST', `/api/v1/routes/${encodeURIComponent(route)}/${change}`);
      if (options.json) printJson(routes.map((route) => ({ route, frozen: change === 'freeze' })));
      else printLines(routes.map((route) => `${route}: ${change === 'freeze' ? 'frozen' : 'thawed'}`));
    });
}
