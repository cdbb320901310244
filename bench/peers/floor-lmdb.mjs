/**
 * The floor under every server on Node that keeps what it says 250 to: as floor-null.mjs, and each message is one LMDB
 * put whose commit is awaited before its 250. `node floor-lmdb.mjs PORT WORKERS DIRECTORY`.
 */
import cluster from 'node:cluster';
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { argv, pid } from 'node:process';
import * as lmdb from 'lmdb';

import { serve } from './floor-session.mjs';

const [port, workers, directory = ''] = [Number(argv[2]), Number(argv[3]), argv[4]];
cluster.schedulingPolicy = cluster.SCHED_NONE;

if (cluster.isPrimary) {
  for (let i = 0; i < workers; i++) cluster.fork();
} else {
  // As Postern opens its queue: page writes, fdatasync, the meta page, and only then the promise.
  const db = lmdb.open({
    path: join(directory, `floor-${pid}.mdb`),
    noSubdir: true,
    encoding: 'binary',
    keyEncoding: 'binary',
    overlappingSync: false,
    commitDelay: 0,
  });
  createServer({ noDelay: true }, (socket) => {
    serve(socket, (message) => db.put(randomBytes(16), message));
  }).listen({ port, host: '127.0.0.1', backlog: 4096 });
}
