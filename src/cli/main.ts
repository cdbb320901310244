#!/usr/bin/env node
/** The `postern` command: names the commands, and turns what they throw into a message and an exit code. */
import { Command, CommanderError } from 'commander';
import { checkCommand } from './check.js';
import { report, exitCodes } from './failure.js';
import { startCommand } from './start.js';
import { version } from './version.js';

const program = new Command('postern')
  .description('A durable SMTP front door: fsyncs each message before it says 250, then relays it.')
  .version(version)
  .exitOverride()
  .showHelpAfterError('(`postern help` lists the commands)')
  .addCommand(startCommand())
  .addCommand(checkCommand());

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

process.exitCode = await run(process.argv);
