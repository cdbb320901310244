/**
 * The name of one life of one worker. Queue files carry it, so it must be unique among all processes ever started on
 * a data directory, also when the clock jumps back: the time makes names sort, the random part makes them unique.
 */
import { randomInt } from 'node:crypto';

const timeDigits = 9; // milliseconds in base 36, to the year 5188
const randomDigits = 9; // 2^46: chance of a clash below 10^-4 even for 10^5 lives in the same millisecond

function inBase36(value: number, digits: number): string {
  return value.toString(36).toUpperCase().padStart(digits, '0').slice(-digits);
}

/** 18 characters of [0-9A-Z]. @param nowMs wall clock */
export function newIncarnation(nowMs: number): string {
  const time = inBase36(Math.max(0, Math.floor(nowMs)), timeDigits);
  return time + inBase36(randomInt(2 ** 46), randomDigits);
}
