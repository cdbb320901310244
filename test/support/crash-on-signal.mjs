/**
 * Preloaded into Postern's processes (NODE_OPTIONS=--import): SIGUSR2 makes a worker throw outside of any call, SIGPWR
 * leaves a promise rejected that nobody waits for, as a bug of ours would.
 */
import cluster from 'node:cluster';

if (cluster.isWorker) {
  process.on('SIGUSR2', () => {
    throw new Error('thrown by the test');
  });
  process.on('SIGPWR', () => {
    void Promise.reject(new Error('rejected by the test'));
  });
}
