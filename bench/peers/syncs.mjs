/** Does a server sync a message to disk before it says 250? strace is asked, not the documentation. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { processTree } from '../load/server-usage.mjs';
import { until } from '../server.mjs';

const syncCalls = ['fsync', 'fdatasync', 'sync_file_range', 'msync', 'syncfs'];
/** Time stamp, then the call: it begins after the dot was sent. */
const begunCall = new RegExp(`^\\d+ +(\\d+\\.\\d+) (?:${syncCalls.join('|')})\\(`);
const settleMs = 500;
const body = `Subject: sync\r\n\r\n${'x'.repeat(70)}\r\n`;

/** @param {import('./servers.mjs').Running} server @param {string} directory @returns {Promise<boolean>} */
export async function syncsBefore250(server, directory) {
  const log = join(directory, 'strace');
  const pids = processTree(server.pid).flatMap((pid) => ['-p', String(pid)]);
  const strace = spawn('strace', ['-f', '-ttt', '-e', `trace=${syncCalls.join(',')}`, '-o', log, ...pids], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const ended = once(strace, 'exit');
  let said = '';
  strace.stderr.on('data', (chunk) => (said += String(chunk)));
  await until('strace is attached', async () => said.includes('attached'));
  await sleep(settleMs);
  // The first message may open files; the second is the rule.
  await sendOne(server.port);
  const { dotAt, acceptedAt } = await sendOne(server.port);
  await sleep(settleMs);
  strace.kill('SIGINT');
  await ended;
  return readFileSync(log, 'utf8')
    .split('\n')
    .some((line) => {
      const at = Number(begunCall.exec(line)?.[1] ?? 0);
      return at >= dotAt && at <= acceptedAt;
    });
}

/** @param {number} port @returns {Promise<{ dotAt: number, acceptedAt: number }>} seconds since the epoch */
async function sendOne(port) {
  const socket = connect(port, '127.0.0.1');
  const replies = socket.setEncoding('latin1')[Symbol.asyncIterator]();
  const commands = ['EHLO sync.example.test', 'MAIL FROM:<load@example.test>', 'RCPT TO:<sink@example.test>', 'DATA']; // prettier-ignore
  await replyOf(replies);
  for (const command of commands) {
    socket.write(`${command}\r\n`);
    await replyOf(replies);
  }
  const dotAt = Date.now() / 1000;
  socket.write(`${body}.\r\n`);
  const reply = await replyOf(replies);
  const acceptedAt = Date.now() / 1000;
  socket.end('QUIT\r\n');
  if (!reply.startsWith('250')) throw new Error(`the message for strace was not accepted: ${reply}`);
  return { dotAt, acceptedAt };
}

/** @param {AsyncIterator<string>} replies @returns {Promise<string>} */
async function replyOf(replies) {
  let text = '';
  while (!/^\d{3} .*\r\n$/m.test(text)) {
    const { value, done } = await replies.next();
    if (done === true) throw new Error(`the connection was closed after: ${text}`);
    text += value;
  }
  return text;
}
