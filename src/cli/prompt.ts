/** Questions to the person at the terminal, and what comes on stdin when there is none. */
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { UsageError } from './failure.js';

// One password or one answer, with room to spare.
const maxInputBytes = 64 * 1024;

/** A password: typed twice without echo on a terminal, else the first line of stdin. @throws UsageError */
export async function newPassword(user: string): Promise<string> {
  if (!process.stdin.isTTY) return firstLine();
  const first = await ask(`New password of ${user}: `, { echo: false });
  const second = await ask('Once more: ', { echo: false });
  if (first !== second) throw new UsageError('the two passwords differ; nothing was changed');
  return first;
}

/** A password that exists: typed once without echo on a terminal, else the first line of stdin. @throws UsageError */
export async function knownPassword(user: string): Promise<string> {
  return process.stdin.isTTY ? ask(`Password of ${user}: `, { echo: false }) : firstLine();
}

/** Yes only when a person at a terminal types it. */
export async function confirm(question: string): Promise<boolean> {
  return /^y(es)?$/i.test((await ask(`${question} [y/N] `, { echo: true })).trim());
}

/** On stderr, so that stdout can be redirected. @throws UsageError when the person presses Ctrl-C or Ctrl-D */
async function ask(question: string, { echo }: { echo: boolean }): Promise<string> {
  // readline writes the question and the echo to its output: a silent one hides both.
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({
    input: process.stdin,
    output: echo ? process.stderr : silent,
    terminal: true,
  });
  if (!echo) process.stderr.write(question);
  try {
    return await new Promise((resolve, reject) => {
      lines.once('close', () => reject(new UsageError('cancelled; nothing was done')));
      lines.question(echo ? question : '', resolve);
    });
  } finally {
    lines.close();
    if (!echo) process.stderr.write('\n');
  }
}

async function firstLine(): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > maxInputBytes)
      throw new UsageError(`more than ${maxInputBytes} bytes on stdin: that is no password`);
  }
  const line = Buffer.concat(chunks).toString('utf8').split(/\r?\n/, 1)[0] ?? '';
  if (line === '') throw new UsageError('no password on stdin: type it at a terminal, or pipe one line in');
  return line;
}
