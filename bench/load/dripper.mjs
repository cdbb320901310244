#!/usr/bin/env node
/**
 * Connections that each drip one byte of a command that never ends: `dripper.mjs PORT CONNECTIONS`, forked by
 * bench/drippers.mjs. Sends `{ type: 'connected' }` when all have their greeting, and `{ type: 'gone', … }` when the server
 * has ended all of them.
 */
import { connect } from 'node:net';
import { argv } from 'node:process';

const port = Number(argv[2]);
const wanted = Number(argv[3]);
const dripEveryMs = 5_000;
/** Each tick a share of all sockets has its turn, so that the bytes come evenly. */
const tickMs = 50;
const ticksPerRound = dripEveryMs / tickMs;
const connectsPerTick = 100;
const drop = Buffer.from('N');

/** @typedef {{ socket: import('node:net').Socket, greetedAtMs: number, text: string }} Drip */

/** @type {Drip[]} */
const drips = [];
/** @type {Record<string, number>} by the code of the last reply; '': none came */
const ends = {};
let greeted = 0;
let gone = 0;
let longestMs = 0;
let turn = 0;

function open() {
  const socket = connect(port, '127.0.0.1');
  const drip = { socket, greetedAtMs: 0, text: '' };
  drips.push(drip);
  socket.setEncoding('latin1');
  socket.on('data', (text) => {
    // Two replies are all there is: the greeting and the last one.
    if (drip.text === '') greet(drip);
    drip.text = String(text);
  });
  // It shows in how the connection ended.
  socket.on('error', () => undefined);
  socket.on('close', () => end(drip));
}

/** @param {Drip} drip */
function greet(drip) {
  drip.greetedAtMs = performance.now();
  greeted++;
  if (greeted === wanted) process.send?.({ type: 'connected' });
}

/** @param {Drip} drip */
function end(drip) {
  const code = drip.text.slice(0, 3);
  ends[code] = (ends[code] ?? 0) + 1;
  if (drip.greetedAtMs > 0) longestMs = Math.max(longestMs, performance.now() - drip.greetedAtMs);
  gone++;
  if (gone < wanted) return;
  clearInterval(ticker);
  process.send?.({ type: 'gone', ends, longestMs });
}

const ticker = setInterval(() => {
  for (let i = 0; i < connectsPerTick && drips.length < wanted; i++) open();
  turn = (turn + 1) % ticksPerRound;
  for (let at = turn; at < drips.length; at += ticksPerRound) {
    const drip = drips[at];
    if (drip !== undefined && drip.greetedAtMs > 0 && drip.socket.writable) drip.socket.write(drop);
  }
}, tickMs);
process.on('disconnect', () => process.exit());
