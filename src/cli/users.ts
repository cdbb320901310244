/** `postern users`: who may log in on submission listeners. A password is typed or piped in, never an argument. */
import { Command } from 'commander';
import { loadUsersPath } from '../config/partial.js';
import { addUser, listUsers, removeUser } from '../pool/users-file.js';
import { configOption, type ConfigOption } from './config-file.js';
import { exitCodes, UsageError } from './failure.js';
import { jsonOption, printable, printJson, printLines, type JsonOption } from './output.js';
import { newPassword } from './prompt.js';

interface UsersOptions extends ConfigOption {
  readonly file?: string;
}

export function usersCommand(): Command {
  return new Command('users')
    .description('keep the file of those who may log in')
    .addCommand(
      usersAction('add').description('add a user, or give one a new password').argument('<name>').action(add),
    )
    .addCommand(usersAction('list').description('list the users').addOption(jsonOption()).action(list))
    .addCommand(usersAction('remove').description('remove a user').argument('<name>').action(remove));
}

function usersAction(name: string): Command {
  return new Command(name)
    .option('-f, --file <file>', 'the users file (default: auth.users.file of the config)')
    .addOption(configOption());
}

async function add(name: string, options: UsersOptions): Promise<void> {
  const file = usersFile(options);
  const outcome = await addUser(file, name, await newPassword(name));
  const done = outcome === 'added' ? 'added to' : 'has a new password in';
  printLines([`${printable(name)} ${done} ${file}. A running server takes it up with \`postern reload\`.`]);
}

async function list(options: UsersOptions & JsonOption): Promise<void> {
  const users = await listUsers(usersFile(options));
  if (options.json) printJson(users);
  else printLines(users.map(printable));
}

async function remove(name: string, options: UsersOptions): Promise<void> {
  const file = usersFile(options);
  if (await removeUser(file, name)) {
    printLines([
      `${printable(name)} removed from ${file}. A running server forgets the user with \`postern reload\`.`,
    ]);
    return;
  }
  process.stderr.write(
    `postern: ${file} has no user ${printable(name)}; \`postern users list\` shows them\n`,
  );
  process.exitCode = exitCodes.failed;
}

function usersFile(options: UsersOptions): string {
  const file = options.file ?? loadUsersPath(options.config, process.env);
  if (file !== undefined) return file;
  throw new UsageError(
    `${options.config} names no users file. Put \`auth: { users: { file: users.yaml } }\` in it, or use --file FILE`,
  );
}
