/** `postern users`: who may log in on submission listeners. A password is typed or piped in, never an argument. */
import { existsSync } from 'node:fs';
import { Command } from 'commander';
import { loadDataDir, loadUsersPath } from '../config/partial.js';
import type { ExtraMechanism } from '../pool/user-record.js';
import { addUser, listUsers, loadUsers, removeUser } from '../pool/users-file.js';
import { configOption, type ConfigOption } from './config-file.js';
import { exitCodes, UsageError } from './failure.js';
import { jsonOption, printable, printJson, printLines, type JsonOption } from './output.js';
import { newPassword } from './prompt.js';

// NIST SP 800-63B (revision 3) §5.1.1.2: at least 8 characters where a person chooses.
const minPasswordCharacters = 8;

interface UsersOptions extends ConfigOption {
  readonly file?: string;
}

interface AddOptions extends UsersOptions {
  readonly scramSha1?: true;
  readonly cramMd5?: true;
}

export function usersCommand(): Command {
  return new Command('users')
    .description('keep the file of those who may log in')
    .addCommand(
      usersAction('add')
        .description('add a user, or give one a new password')
        .argument('<name>')
        .option('--scram-sha-1', 'store what SCRAM-SHA-1 needs: easier to guess from than the rest')
        .option('--cram-md5', 'store what CRAM-MD5 needs: the password itself')
        .action(add),
    )
    .addCommand(usersAction('list').description('list the users').addOption(jsonOption()).action(list))
    .addCommand(usersAction('remove').description('remove a user').argument('<name>').action(remove));
}

function usersAction(name: string): Command {
  return new Command(name)
    .option('-f, --file <file>', 'the users file (default: auth.users.file of the config)')
    .addOption(configOption());
}

async function add(name: string, options: AddOptions): Promise<void> {
  const file = usersFile(options);
  refuse(nameFault(name));
  const password = await newPassword(name);
  refuse(passwordFault(password));
  const outcome = await addUser(file, name, password, {
    newOwnerLike: serviceFolder(options),
    extras: extrasOf(options),
  });
  const done = outcome === 'added' ? 'added to' : 'was there already, its password is replaced in';
  printLines([`${printable(name)} ${done} ${file}. A running server takes it up with \`postern reload\`.`]);
  for (const hint of await announcedNoMore(file, name, options)) process.stderr.write(`postern: ${hint}\n`);
}

/** A mechanism is announced where every user of the file can use it: the one without ends it for the others. */
async function announcedNoMore(file: string, name: string, options: AddOptions): Promise<string[]> {
  const users = await loadUsers(file);
  const others = users.names.length - 1;
  return Object.entries(extraOptions).flatMap(([mechanism, option]) => {
    const isLast = users.lacking(mechanism) === 1 && !extrasOf(options).some((extra) => extra === mechanism);
    if (!isLast || others === 0) return [];
    return `warning: ${mechanism} will not be announced any more: ${printable(name)} lacks what it needs, which the others (${others}) have. If they use it, give the password again with \`postern users add ${printable(name)} ${option}\``;
  });
}

const extraOptions: Readonly<Record<ExtraMechanism, string>> = {
  'SCRAM-SHA-1': '--scram-sha-1',
  'CRAM-MD5': '--cram-md5',
};

function extrasOf({ scramSha1, cramMd5 }: AddOptions): ExtraMechanism[] {
  return [...(scramSha1 ? (['SCRAM-SHA-1'] as const) : []), ...(cramMd5 ? (['CRAM-MD5'] as const) : [])];
}

function nameFault(name: string): string | undefined {
  if (name === '') return 'the user name is empty';
  // Not that such a name could not be kept: a login line or a log line could not be read back.
  if (/[\s:\p{Cc}\p{Cf}]/u.test(name))
    return `the user name '${printable(name)}' has white space, a colon or a control character in it; use letters, digits, and signs such as . _ - @`;
  return undefined;
}

function passwordFault(password: string): string | undefined {
  return Array.from(password).length < minPasswordCharacters
    ? `the password is shorter than ${minPasswordCharacters} characters; nothing was changed`
    : undefined;
}

function refuse(fault: string | undefined): void {
  if (fault !== undefined) throw new UsageError(fault);
}

/** The service's user owns its data directory: a file that root makes goes to the same one. */
function serviceFolder({ config, file }: UsersOptions): string | undefined {
  // With --file there need be no config.
  return file !== undefined && !existsSync(config) ? undefined : loadDataDir(config, process.env);
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
