/** What every Dovecot of the tests has in its config: runs in a folder, as who runs the test, with no service but the named. */
import { userInfo } from 'node:os';

/**
 * @param protocols as in `protocols =`; empty for the auth service alone
 * @param own the rest of the config
 */
export function dovecotConfig(directory: string, protocols: string, own: string): string {
  const { username, gid } = userInfo();
  return `
base_dir = ${directory}/run
state_dir = ${directory}/state
log_path = /dev/stderr
protocols = ${protocols}
ssl = no
default_internal_user = ${username}
default_login_user = ${username}
default_internal_group = ${process.getuid?.() === 0 ? 'root' : String(gid)}
${own}
service anvil {
  chroot =
}
service stats {
  chroot =
}
`;
}
