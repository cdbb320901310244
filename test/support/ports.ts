/** TCP ports of 127.0.0.1: free ones for programs that must be told a number before they start, and who listens. */
import { connect, createServer } from 'node:net';
import { randomInt } from 'node:crypto';

// Below Linux's ephemeral range (32768…): there, a client's own connection could take the port between look and use.
const firstPort = 15_000;
const lastPort = 32_000;

// Given out by this process: whoever was told of one may not have opened it yet.
const given = new Set<number>();

export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(firstPort, lastPort);
    if (given.has(port) || !(await isFree(port))) continue;
    given.add(port);
    return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

/** Somebody takes connections there. */
export function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}
