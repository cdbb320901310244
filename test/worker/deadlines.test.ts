import { expect, test } from 'vitest';
import { Deadlines } from '../../src/worker/deadlines.js';

const limits = { commandTimeoutMs: 300, dataTimeoutMs: 200, messageTimeoutMs: 1000 };

function deadlines(): Deadlines {
  return new Deadlines(limits, 0);
}

test('C-041 A-050: a command has its time from the last whole thing that happened, not from its last byte', () => {
  const waits = deadlines();
  waits.wait('command', false, false, 0);
  waits.wait('command', false, false, 250); // a byte came
  expect(waits.isLate(299, false)).toBe(false);
  expect(waits.isLate(300, false)).toBe(true);
  waits.progressed(); // a reply
  waits.wait('command', false, false, 299);
  expect(waits.isLate(598, false)).toBe(false);
  expect(waits.isLate(599, false)).toBe(true);
});

test('nothing runs while the answer is ours to give', () => {
  const waits = deadlines();
  waits.wait('command', false, false, 0);
  waits.wait('none', false, false, 299);
  expect(waits.isLate(1e9, false)).toBe(false);
  waits.wait('command', false, false, 1e9);
  expect(waits.isLate(1e9 + 299, false)).toBe(false);
  expect(waits.isLate(1e9 + 300, false)).toBe(true);
});

test('A-051: a message has its time however its bytes come, and only between 354 and its end', () => {
  const waits = deadlines();
  waits.messageBegun(0);
  for (let nowMs = 0; nowMs < 1000; nowMs += 100) {
    waits.progressed();
    waits.wait('data', false, true, nowMs);
    expect(waits.isLate(nowMs + 99, true)).toBe(false);
  }
  expect(waits.isLate(1000, true)).toBe(true);
  expect(waits.isLate(1000, false)).toBe(false);
});

test('A-072 A-073: the octets of a refused BDAT, of which no message is made, have a message’s time', () => {
  const waits = deadlines();
  for (let nowMs = 0; nowMs < 1000; nowMs += 100) {
    waits.progressed();
    waits.wait('data', false, true, nowMs);
    expect(waits.isLate(nowMs + 99, true)).toBe(false);
  }
  expect(waits.isLate(1000, true)).toBe(true);
  waits.wait('command', false, false, 1000);
  waits.wait('data', false, true, 1100);
  expect(waits.isLate(1299, true)).toBe(false);
});

test('F-10: while the queue is the slow one no deadline runs, and its time is not the message’s', () => {
  const waits = deadlines();
  waits.messageBegun(0);
  waits.wait('data', false, true, 0);
  waits.wait('data', true, true, 100);
  waits.wait('data', true, true, 400);
  expect(waits.isLate(5000, true)).toBe(false);
  waits.progressed();
  waits.wait('data', false, true, 5100);
  expect(waits.isLate(5299, true)).toBe(false);
  expect(waits.isLate(5300, true)).toBe(true);
  for (let nowMs = 5100; nowMs < 6000; nowMs += 100) {
    waits.progressed();
    waits.wait('data', false, true, nowMs);
  }
  expect(waits.isLate(5999, true)).toBe(false);
  expect(waits.isLate(6000, true)).toBe(true);
});

test('the handshake and the end have bounds of their own', () => {
  const waits = deadlines();
  waits.wait('command', false, false, 0);
  waits.within(5000, 100);
  expect(waits.isLate(5099, false)).toBe(false);
  expect(waits.isLate(5100, false)).toBe(true);
  expect(waits.idleMs(400)).toBe(400);
});
