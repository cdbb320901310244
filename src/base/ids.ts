/** Queue ids and session ids: ours alone, never taken from the network. Sortable by time, one alphabet, no look-alikes. */
import { randomInt } from 'node:crypto';

// Crockford's alphabet: no I, L, O, U, so that an id read out on the phone survives.
const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

function encode(value: number, digits: number): string {
  let text = '';
  let rest = value;
  for (let i = 0; i < digits; i++) {
    text = alphabet.charAt(rest % 32) + text;
    rest = Math.floor(rest / 32);
  }
  return text;
}

// 20 random bits a process: two processes that count alike in the same millisecond still differ.
const processPart = encode(randomInt(2 ** 20), 4);
let counter = randomInt(2 ** 15);

/** 16 characters: 9 of milliseconds (to the year 3084), 4 of the process, 3 of a counter. */
export function newQueueId(nowMs: number): string {
  counter = (counter + 1) & 0x7fff;
  return encode(nowMs, 9) + processPart + encode(counter, 3);
}

let sessionCounter = 0;

/** 12 characters, unique among the sessions of one run of the service; for log lines, not for secrets. */
export function newSessionId(): string {
  sessionCounter = (sessionCounter + 1) % 2 ** 40;
  return processPart + encode(sessionCounter, 8);
}

export function isQueueId(text: string): boolean {
  if (text.length !== 16) return false;
  for (const character of text) if (!alphabet.includes(character)) return false;
  return true;
}
