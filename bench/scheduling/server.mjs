/**
 * A cluster that does nothing but accept, greet and close, under one scheduling policy: what is measured is the way of a
 * connection to a worker. `node server.mjs none|rr|reuseport WORKERS [busy]`, forked by run.mjs with a channel.
 * busy: worker 0 blocks its event loop for 50 ms at a time, as a worker with a large message might.
 */
import cluster from 'node:cluster';
import { createServer } from 'node:net';

const [policy, workers, busy] = [process.argv[2], Number(process.argv[3]), process.argv[4] === 'busy'];
const greeting = Buffer.from('220 mx.example.test ESMTP\r\n');
const backlog = 1024;

if (cluster.isPrimary) runPrimary();
else runWorker();

function runPrimary() {
  cluster.schedulingPolicy = policy === 'rr' ? cluster.SCHED_RR : cluster.SCHED_NONE;
  cluster.setupPrimary({ args: process.argv.slice(2) });
  const replies = [];
  for (let i = 0; i < workers; i++) {
    const worker = cluster.fork({ BUSY: busy && i === 0 ? '1' : '' });
    worker.on('message', (message) => {
      replies.push(message);
      if (replies.length === workers) process.send(replies.splice(0));
    });
  }
  process.on('message', ({ ask, port }) => {
    if (ask === 'usage') process.send({ usage: process.cpuUsage() });
    else for (const worker of Object.values(cluster.workers)) worker.send({ ask, port });
  });
  process.on('disconnect', () => process.exit(0));
}

function runWorker() {
  let accepted = 0;
  const server = createServer({ noDelay: true }, (socket) => {
    accepted += 1;
    socket.on('error', () => socket.destroy());
    socket.end(greeting);
  });
  const shared = policy === 'reuseport' ? { exclusive: true, reusePort: true } : {};
  process.on('message', ({ ask, port }) => {
    if (ask === 'listen') server.listen({ host: '127.0.0.1', port, backlog, ...shared }, () => process.send({ listening: true })); // prettier-ignore
    if (ask === 'counts') process.send({ accepted, usage: process.cpuUsage() });
  });
  // What comes before the listener above is there would be lost: the primary waits for this.
  process.send({ online: true });
  if (process.env.BUSY) setInterval(() => burn(50), 60);
}

function burn(ms) {
  const endMs = performance.now() + ms;
  while (performance.now() < endMs);
}
