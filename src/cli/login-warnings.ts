/** What stands in the way of log-ins and is no fault of the config: users without what a mechanism needs, no Dovecot. */
import { accessSync, constants, statSync } from 'node:fs';
import { describeError } from '../base/errors.js';
import type { Config } from '../config/config.js';
import { thisUser } from '../config/this-machine.js';
import { loadUsers } from '../pool/users-file.js';
import { count } from './amounts.js';

/** Of a config without faults, whose users file can be read. */
export async function loginWarnings({ auth, listeners }: Config): Promise<string[]> {
  if (!listeners.some(({ role }) => role === 'submission')) return [];
  const { usersFile, backend } = auth;
  const lacking = usersFile === undefined ? [] : await lackingWarnings(auth.mechanisms, usersFile);
  if (backend?.kind !== 'dovecot' || !('path' in backend.target)) return lacking;
  const fault = socketFault(backend.target.path);
  return fault === undefined ? lacking : [...lacking, fault];
}

/** What is stored for them, by option of `users add`; the others need nothing but the password or no password at all. */
const options = { 'SCRAM-SHA-256': '', 'SCRAM-SHA-1': ' --scram-sha-1', 'CRAM-MD5': ' --cram-md5' } as const;

async function lackingWarnings(mechanisms: readonly string[], file: string): Promise<string[]> {
  const users = await loadUsers(file);
  return Object.entries(options).flatMap(([mechanism, option]) => {
    const lacking = mechanisms.includes(mechanism) ? users.lacking(mechanism) : 0;
    if (lacking === 0) return [];
    return `auth.mechanisms has ${mechanism}, which will not be announced: ${count(lacking, 'user')} of ${users.names.length} in ${file} ${lacking === 1 ? 'has' : 'have'} nothing that it could be checked against; set their passwords again with \`postern users add NAME${option}\`, or leave ${mechanism} out`;
  });
}

/** Not a fault: Dovecot may be started later. */
function socketFault(path: string): string | undefined {
  const key = 'auth.backend.dovecot.socket';
  const until = 'until then log-ins get 454';
  try {
    if (!statSync(path).isSocket()) return `${key}: ${path} is no socket; ${until}`;
    accessSync(path, constants.R_OK | constants.W_OK);
    return undefined;
  } catch (error) {
    return `${key}: ${path} cannot be used (${describeError(error)}): Dovecot must run, with a \`unix_listener\` at that path for the user ${thisUser()} (deploy/AUTH.md); ${until}`;
  }
}
