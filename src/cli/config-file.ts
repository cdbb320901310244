/** The --config option that most commands have, and what it means. */
import { Option } from 'commander';
import type { Config } from '../config/config.js';
import { loadConfig } from '../config/load.js';

export interface ConfigOption {
  readonly config: string;
}

export function configOption(): Option {
  return new Option('-c, --config <file>', 'the config file')
    .env('POSTERN_CONFIG')
    .default('config/postern.yaml');
}

/** The config with everything that it names looked at. @throws ConfigError */
export function loadWhole(options: ConfigOption): Config {
  return loadConfig(options.config, process.env);
}
