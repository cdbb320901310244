/**
 * Promise 1, seen from outside: strace shows that the fdatasync of the commit ends before the 250 is written, and
 * that a commit that fails is answered 451 and never 250 (F-08, C-051, lmdb.md U-1, U-5).
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { peerPath, skipReason } from '../support/peers.js';
import { startPostern, type RunningPostern } from '../support/postern.js';
import { until } from '../support/processes.js';
import { Program } from '../support/program.js';
import { SmtpClient } from '../support/smtp-client.js';

const missing = skipReason('strace');
let postern: RunningPostern | undefined;
let tracer: Program | undefined;

afterEach(async () => {
  await tracer?.stop('SIGINT');
  await postern?.dispose();
  tracer = undefined;
  postern = undefined;
});

/** strace on all threads of the workers that run now; resolves when it is attached to all. */
async function trace(running: RunningPostern, ...args: string[]): Promise<Program> {
  const pids = running.workerPids();
  const program = new Program(peerPath('strace'), [
    '-f',
    ...args,
    ...pids.flatMap((pid) => ['-p', String(pid)]),
  ]);
  await until('strace is attached', () =>
    pids.every((pid) => program.output.includes(`Process ${pid} attached`)),
  );
  return program;
}

describe.skipIf(missing)(`under strace${missing === undefined ? '' : ` (${missing})`}`, () => {
  test('C-053: the fdatasync of the commit ends before the 250 is written', async () => {
    postern = await startPostern();
    const client = await SmtpClient.greeted(postern.smtpPort);
    const output = join(postern.directory, 'trace');
    tracer = await trace(postern, '-y', '-s', '60', '-e', 'trace=fdatasync,write,writev', '-o', output);
    for (let n = 0; n < 3; n++)
      expect(await client.send(`Subject: ${n}\r\n\r\nhello`)).toMatch(/^250 2\.0\.0 Ok/);
    await tracer.stop('SIGINT');

    const lines = readFileSync(output, 'utf8').split('\n');
    let synced = 0;
    let acknowledged = 0;
    for (const line of lines) {
      if (line.includes('"354 ')) synced = 0;
      // Complete in one line, or "<... fdatasync resumed>) = 0" where other threads came between.
      if (/fdatasync.*= 0$/.test(line)) synced += 1;
      if (!line.includes('queued as')) continue;
      acknowledged += 1;
      expect(synced, `a 250 without an fdatasync since its 354:\n${lines.join('\n')}`).toBeGreaterThan(0);
    }
    expect(acknowledged).toBe(3);
  });

  test('F-08 C-051: EIO on fdatasync is 451, never 250; the worker is replaced and mail flows again', async () => {
    postern = await startPostern();
    const before = postern.workerPids();
    const client = await SmtpClient.greeted(postern.smtpPort);
    expect(await client.send('Subject: before\r\n\r\nx')).toMatch(/^250/);
    tracer = await trace(postern, '-e', 'trace=fdatasync', '-e', 'inject=fdatasync:error=EIO');
    expect(await client.send('Subject: fails\r\n\r\nx')).toMatch(/^451 4\.3\.0/);
    expect(client.replies.filter((reply) => reply.includes('queued as'))).toHaveLength(1);
    client.destroy();
    const running = postern;
    await until('the worker that failed is replaced', () => {
      const now = running.workerPids();
      return now.length === before.length && before.some((pid) => !now.includes(pid));
    });
    await tracer.stop('SIGINT');
    const again = await until('a new client is served', async () => {
      const fresh = await SmtpClient.greeted(running.smtpPort).catch(() => undefined);
      if (fresh === undefined) return undefined;
      const reply = await fresh.send('Subject: after\r\n\r\nx').catch((error: unknown) => String(error));
      fresh.destroy();
      return reply.startsWith('250') ? reply : undefined;
    });
    expect(again).toMatch(/^250 2\.0\.0 Ok: queued as/);
    const crashes = running.log.filter((line) => line.event === 'worker.crash');
    expect(crashes).toEqual([]);
  });

  test('F-08: a message that begins after the failed commit gets its 451 too', async () => {
    const running = await startPostern({ config: { workers: 1 } });
    postern = running;
    const first = await SmtpClient.greeted(running.smtpPort);
    const second = await SmtpClient.greeted(running.smtpPort);
    for (const line of ['MAIL FROM:<a@client.test>', 'RCPT TO:<you@example.test>'])
      expect(await second.command(line)).toMatch(/^250/);
    tracer = await trace(running, '-e', 'trace=fdatasync', '-e', 'inject=fdatasync:error=EIO');
    expect(await first.send('Subject: fails\r\n\r\nx')).toMatch(/^451 4\.3\.0/);
    expect(await second.command('DATA')).toMatch(/^354/);
    second.write('Subject: late\r\n\r\nx\r\n.\r\n');
    expect(await second.reply()).toMatch(/^451 4\.3\.0/);
    expect(running.log.filter((line) => line.event === 'worker.crash')).toEqual([]);
  });
});
