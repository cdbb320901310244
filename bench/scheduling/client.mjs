/**
 * Keeps CONCURRENCY connections coming for SECONDS: connect, read the greeting, wait for the close, again. Sends how
 * many it made and the times from connect to greeting, in ms. `node client.mjs PORT CONCURRENCY SECONDS`
 */
import { connect } from 'node:net';

const [port, concurrency, seconds] = process.argv.slice(2).map(Number);
const timesMs = [];
let failed = 0;
let open = 0;
const endMs = performance.now() + seconds * 1000;

for (let i = 0; i < concurrency; i++) next();

function next() {
  if (performance.now() > endMs) {
    if (open === 0) process.send({ timesMs, failed }, () => process.exit(0));
    return;
  }
  const startMs = performance.now();
  open += 1;
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  socket.once('data', () => timesMs.push(performance.now() - startMs));
  socket.on('error', () => (failed += 1));
  socket.on('close', () => {
    open -= 1;
    next();
  });
}
