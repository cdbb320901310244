/** Where `postern send` gets a password from: never the command line, which `ps` and shell histories keep. */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';

export const passwordVariable = 'POSTERN_SEND_PASSWORD';

/** The environment, else a prompt without echo, else the first line of stdin. Undefined when none is to be had.
 *  @param stdinTaken stdin carries the message (`--file -`) */
export async function passwordOf(user: string, stdinTaken: boolean): Promise<string | undefined> {
  const fromEnvironment = process.env[passwordVariable];
  if (fromEnvironment !== undefined) return fromEnvironment;
  if (stdinTaken) return undefined;
  const password = process.stdin.isTTY ? await prompt(`Password of ${user}: `) : firstLine();
  return password === '' ? undefined : password;
}

function firstLine(): string {
  return (readFileSync(0, 'utf8').split('\n')[0] ?? '').replace(/\r$/, '');
}

async function prompt(question: string): Promise<string> {
  process.stderr.write(question);
  // readline in terminal mode does the line editing, its echo goes nowhere.
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: nowhere, terminal: true });
  try {
    return await lines.question('');
  } finally {
    lines.close();
    process.stderr.write('\n');
  }
}
