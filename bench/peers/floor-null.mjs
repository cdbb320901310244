/**
 * The floor under every server on Node: fixed replies, and of a message nothing is looked for but its end.
 * `node floor-null.mjs PORT`. It checks nothing, stores nothing, and must never meet the network.
 */
import { createServer } from 'node:net';
import { argv } from 'node:process';

import { serve } from './floor-session.mjs';

createServer({ noDelay: true }, (socket) => {
  serve(socket, () => undefined);
}).listen({ port: Number(argv[2]), host: '127.0.0.1', backlog: 4096 });
