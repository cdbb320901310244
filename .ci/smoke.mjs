/** In a folder where the packed Postern is installed: starts it, sends a message, finds it delivered, drains it. */
import { spawn, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** @returns {Promise<number>} */
function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}

/** @param {string[]} args */
function postern(...args) {
  const { status, stdout, stderr } = spawnSync('npx', ['--no-install', 'postern', ...args], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`postern ${args.join(' ')}: exit ${status}\n${stdout}${stderr}`);
  return stdout;
}

/** @param {string} what @param {() => boolean | Promise<boolean>} probe */
async function until(what, probe) {
  for (let tries = 0; tries < 300; tries++) {
    if (await probe()) return;
    await sleep(100);
  }
  throw new Error(`not within 30 s: ${what}`);
}

/** @param {string} directory */
function filesIn(directory) {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

const [port, adminPort] = [await freePort(), await freePort()];
// The config that comes with the package, on ports of our own.
const shipped = readFileSync('node_modules/postern/config/postern.yaml', 'utf8');
const config = shipped.replace('port: 2525', `port: ${port}`).replace('port: 2580', `port: ${adminPort}`);
writeFileSync('postern.yaml', config);
console.log(postern('--version').trim());
postern('check', '--config', 'postern.yaml');

// Not through npx: the signal is for Postern itself, and its exit code is looked at.
const main = 'node_modules/postern/dist/cli/main.js';
const server = spawn(process.execPath, [main, 'start', '--config', 'postern.yaml'], { stdio: 'inherit' });
/** @type {Promise<number | null>} */
const exited = new Promise((resolve) => server.once('exit', resolve));
try {
  await until('Postern is ready', async () => {
    if (server.exitCode !== null) throw new Error('Postern ended');
    return (await fetch(`http://127.0.0.1:${adminPort}/readyz`).catch(() => undefined))?.status === 200;
  });
  console.log(postern('send', '--config', 'postern.yaml', '--to', 'you@localhost'));
  await until('the message is in the Maildir', () => filesIn('data/maildir/new').length === 1);
  const metrics = await (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text();
  if (!/^postern_messages_accepted_total\{listener="mx"\} 1$/m.test(metrics))
    throw new Error('/metrics does not count the message');
} finally {
  server.kill('SIGTERM');
}
const code = await exited;
if (code !== 0) throw new Error(`Postern exited with ${code} after SIGTERM`);
console.log('the packed Postern takes, delivers, counts and drains');
