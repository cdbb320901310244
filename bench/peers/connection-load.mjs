#!/usr/bin/env node
/**
 * Connections without mail, forked by measure.mjs: `connection-load.mjs PORT KIND SESSIONS`. Kinds: `connects` (connect,
 * greeting, QUIT, again), `full` and `resumed` (the same inside TLS 1.3), `idle` and `idle-tls` (so many that stay). Sends
 * `{ type: 'open' }` when idle connections have their greeting, and on disconnect-to-be (`stop`) `{ type: 'done', count, resumed }`.
 */
import { connect as connectTcp } from 'node:net';
import { argv } from 'node:process';
import { connect as connectTls } from 'node:tls';

const [port, kind, sessions] = [Number(argv[2]), argv[3], Number(argv[4])];
const tls = kind !== 'connects' && kind !== 'idle';
const stays = kind === 'idle' || kind === 'idle-tls';
const connectsPerTick = 100;
const tickMs = 20;

/** @type {Buffer | undefined} a ticket of this server */
let ticket;
let count = 0;
let resumed = 0;
let greeted = 0;
let stopping = false;

/** @param {() => void} ended */
function open(ended) {
  const socket = tls
    ? connectTls({
        port,
        host: '127.0.0.1',
        rejectUnauthorized: false,
        minVersion: 'TLSv1.3',
        ...(kind === 'resumed' && ticket !== undefined ? { session: ticket } : {}),
      })
    : connectTcp({ port, host: '127.0.0.1', noDelay: true });
  if ('isSessionReused' in socket) {
    socket.on('session', (session) => (ticket = session));
    socket.once('secureConnect', () => (resumed += socket.isSessionReused() ? 1 : 0));
  }
  let greeting = false;
  socket.on('data', () => {
    if (greeting) return;
    greeting = true;
    greeted++;
    if (stays) tellWhenAll();
    else socket.write('QUIT\r\n');
  });
  socket.on('error', (error) => {
    process.stderr.write(`connection-load: ${error.message}\n`);
    process.exit(1);
  });
  socket.once('close', () => {
    if (greeting) count++;
    ended();
  });
}

function tellWhenAll() {
  if (greeted === sessions) process.send?.({ type: 'open' });
}

function again() {
  if (!stopping) open(again);
}

if (stays) {
  let opened = 0;
  const ticker = setInterval(() => {
    for (let i = 0; i < connectsPerTick && opened < sessions; i++, opened++) open(() => undefined);
    if (opened === sessions) clearInterval(ticker);
  }, tickMs);
} else {
  for (let i = 0; i < sessions; i++) again();
}
process.on('message', () => {
  stopping = true;
  process.send?.({ type: 'done', count, resumed }, () => process.exit());
});
process.on('disconnect', () => process.exit());
