/** `postern queue salvage`: stores again what is whole in queue files that were moved away because they ended workers. */
import { basename } from 'node:path';
import { Command } from 'commander';
import { describeError } from '../base/errors.js';
import type { SalvageReport, Status } from '../base/messages.js';
import { AdminClient, RefusedError } from './admin-client.js';
import { count } from './amounts.js';
import { configOption, type ConfigOption } from './config-file.js';
import { exitCodes, UsageError } from './failure.js';
import { columns, jsonOption, printable, printJson, printLines, type JsonOption } from './output.js';
import { confirm } from './prompt.js';

// A file may hold gigabytes, and all of it is read; the server's own bound is an hour.
const salvageTimeoutMs = 3_620_000;

interface SalvageOptions extends ConfigOption, JsonOption {
  readonly yes?: true;
}

export function salvageCommand(): Command {
  return new Command('salvage')
    .description('store again what is whole in quarantined queue files')
    .argument('[files...]', 'paths or names, as `postern status` shows them; without: all, after a question')
    .option('-y, --yes', 'do not ask')
    .addOption(configOption())
    .addOption(jsonOption())
    .action(async (files: string[], options: SalvageOptions) => {
      const client = new AdminClient(options);
      const quarantined = await quarantinedFiles(client);
      const chosen = files.length > 0 ? files.map((file) => pathOf(file, quarantined)) : quarantined;
      if (files.length === 0) await askFirst(quarantined, options);
      const reports = await salvageAll(client, chosen);
      if (options.json) printJson(reports);
      else if (reports.length > 0) printLines(describeReports(reports));
    });
}

async function quarantinedFiles(client: AdminClient): Promise<readonly string[]> {
  const { quarantined } = await client.call<Status>('GET', '/api/v1/status');
  return quarantined;
}

/** @throws UsageError */
function pathOf(file: string, quarantined: readonly string[]): string {
  const path = quarantined.find((known) => known === file || basename(known) === file);
  if (path !== undefined) return path;
  throw new UsageError(`${file} is no quarantined file; \`postern status\` lists them`);
}

async function askFirst(quarantined: readonly string[], options: SalvageOptions): Promise<void> {
  if (quarantined.length === 0) {
    if (!options.json) printLines(['No queue file is quarantined.']);
    return;
  }
  if (options.yes === true) return;
  const what = `This would salvage ${count(quarantined.length, 'file')}:\n${quarantined.map((file) => `  ${printable(file)}\n`).join('')}`;
  if (!process.stdin.isTTY)
    throw new UsageError(`${what}Nothing was done: nobody can be asked here, so it needs --yes`);
  process.stderr.write(what);
  if (!(await confirm('Go on?'))) throw new UsageError('nothing was done');
}

/** A file that cannot be salvaged does not keep the others from it; the exit code is 1 then. */
async function salvageAll(client: AdminClient, files: readonly string[]): Promise<SalvageReport[]> {
  const reports: SalvageReport[] = [];
  for (const file of files) {
    if (process.stderr.isTTY) process.stderr.write(`salvaging ${printable(file)} …\n`);
    try {
      const sent = { json: { file }, timeoutMs: salvageTimeoutMs };
      reports.push(await client.call<SalvageReport>('POST', '/api/v1/queue/salvage', sent));
    } catch (error) {
      if (!(error instanceof RefusedError) || error.status === 401 || error.status === 403) throw error;
      process.stderr.write(`postern: ${printable(file)}: ${describeError(error)}\n`);
      process.exitCode = exitCodes.failed;
    }
  }
  return reports;
}

function describeReports(reports: readonly SalvageReport[]): string[] {
  return columns([
    ['salvaged', 'known', 'unreadable', 'file now'],
    ...reports.map(({ salvaged, known, unreadable, damagedPlaces, file }) => [
      String(salvaged),
      String(known),
      damagedPlaces > 0 ? `at least ${unreadable}` : String(unreadable),
      printable(file),
    ]),
  ]);
}
