/** `postern config`: what is in force, and what can be set. */
import { Command } from 'commander';
import { configReference, configSchemaJson } from '../config/reference.js';
import { configPlain, configShow } from '../config/show.js';
import { configOption, loadWhole, type ConfigOption } from './config-file.js';
import { jsonOption, printJson, type JsonOption } from './output.js';

export function configCommand(): Command {
  return new Command('config')
    .description('show what is in force and what can be set')
    .addCommand(showCommand())
    .addCommand(
      new Command('schema')
        .description('print the JSON Schema of the config file, for editors')
        .action(() => void process.stdout.write(configSchemaJson())),
    )
    .addCommand(
      new Command('reference')
        .description('print every key with its type, default, variable and meaning, as Markdown')
        .action(() => void process.stdout.write(configReference())),
    );
}

function showCommand(): Command {
  return new Command('show')
    .description('print the config in force: the file, the environment and all defaults')
    .addOption(configOption())
    .addOption(jsonOption())
    .action((options: ConfigOption & JsonOption) => {
      const config = loadWhole(options);
      if (options.json) printJson(configPlain(config));
      else
        process.stdout.write(
          `# ${options.config} with the environment and all defaults\n${configShow(config)}`,
        );
    });
}
