#!/usr/bin/env node
/** The `postern` command: names the commands, and turns what they throw into a message and an exit code. */
import { Command, CommanderError } from 'commander';
import { checkCommand } from './check.js';
import { configCommand } from './config.js';
import { exitCodes, report } from './failure.js';
import { queueCommand } from './queue.js';
import { sendCommand } from './send.js';
import { reloadCommand, statusCommand, stopCommand } from './service.js';
import { startCommand } from './start.js';
import { usersCommand } from './users.js';
import { version } from './version.js';

const program = new Command('postern')
  .description('A durable SMTP front door: fsyncs each message before it says 250, then relays it.')
  .version(version);
for (const command of [
  startCommand(),
  checkCommand(),
  configCommand(),
  usersCommand(),
  queueCommand(),
  statusCommand(),
  reloadCommand(),
  stopCommand(),
  sendCommand(),
])
  program.addCommand(command);
throwInsteadOfExit(program);

/** Commander does not pass these settings on to commands that were made elsewhere. */
function throwInsteadOfExit(command: Command): void {
  command.exitOverride().showHelpAfterError(`(\`${commandPath(command)} --help\` says more)`);
  command.commands.forEach(throwInsteadOfExit);
}

function commandPath(command: Command): string {
  return command.parent === null ? command.name() : `${commandPath(command.parent)} ${command.name()}`;
}

/** @returns the exit code */
async function run(argv: readonly string[]): Promise<number> {
  try {
    await program.parseAsync(argv);
    return Number(process.exitCode ?? exitCodes.done);
  } catch (error) {
    // Help and version end in an "error" with exit code 0; all other errors of commander are wrong usage.
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
    return report(error);
  }
}

// `postern queue list | head`: the reader has enough, which is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(exitCodes.done);
});

process.exitCode = await run(process.argv);
