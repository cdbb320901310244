/** The faults of the users file that a config names, told as the config's own: exit code 2, before any worker. */
import { describeError, errorCodeOf } from '../base/errors.js';
import type { Config } from '../config/config.js';
import { ConfigError, type Fault } from '../config/faults.js';
import { loadUsers } from '../pool/users-file.js';
import { templateFaults } from './template-faults.js';

/** Each with the users file's own line. */
export async function usersFaults({ auth }: Config): Promise<Fault[]> {
  if (auth.usersFile === undefined) return [];
  try {
    await loadUsers(auth.usersFile);
    return [];
  } catch (error) {
    if (errorCodeOf(error) !== 'USERS_FILE') throw error;
    // Its lines begin with file and line already.
    return describeError(error)
      .split('\n')
      .map((text) => ({ place: '', path: '', text }));
  }
}

/** Of all files that the config names and the workers read. @throws ConfigError CONFIG_INVALID */
export async function refuseFileFaults(config: Config): Promise<void> {
  const faults = [...(await usersFaults(config)), ...templateFaults(config)];
  if (faults.length > 0) throw new ConfigError('CONFIG_INVALID', faults);
}
