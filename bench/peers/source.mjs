/** Postfix's smtp-source as load: so many messages, as fast as the server takes them. */
import { spawn } from 'node:child_process';

const timeoutMs = 180_000;

/**
 * @param {{ port: number, messages: number, sessions: number, sizeBytes: number, kept: boolean, file?: string | undefined }} load
 * @returns {Promise<number>} seconds
 */
export async function runSource({ port, messages, sessions, sizeBytes, kept, file }) {
  const body = file === undefined ? ['-l', String(sizeBytes)] : ['-F', file];
  const args = ['-s', String(sessions), '-m', String(messages), ...body, ...(kept ? ['-d'] : [])];
  const ends = ['-f', 'load@example.test', '-t', 'sink@example.test', `127.0.0.1:${port}`];
  const startedMs = performance.now();
  const child = spawn('smtp-source', [...args, ...ends], {
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: timeoutMs,
  });
  let said = '';
  child.stderr.on('data', (chunk) => (said = `${said}${chunk}`.slice(-2000)));
  /** @type {number | null} */
  const code = await new Promise((done, fail) => child.once('exit', done).once('error', fail));
  if (code !== 0) throw new Error(`smtp-source ended with ${code}: ${said.trim()}`);
  return (performance.now() - startedMs) / 1000;
}

/** 64 KiB of which every line begins with a dot; smtp-source stuffs them. @param {number} bytes */
export function dottedMessage(bytes) {
  const line = `.${'dots at the beginning of every line, '.repeat(2).slice(0, 68)}\n`;
  const header = 'From: <load@example.test>\nTo: <sink@example.test>\nSubject: dots\n\n';
  return header + line.repeat(Math.ceil((bytes - header.length) / line.length));
}
