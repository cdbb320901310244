import { describe, expect, test } from 'vitest';
import { Deadlines } from '../../src/worker/deadlines.js';

const limits = {
  commandTimeoutMs: 300,
  dataTimeoutMs: 200,
  messageTimeoutMs: 1000,
  tlsHandshakeTimeoutMs: 3000,
  dataBytesPerSecond: 500,
  dataRateAfterMs: 10_000,
};

function deadlines(): Deadlines {
  return new Deadlines({ limits }, 0);
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
  waits.within('handshake', 100);
  expect(waits.isLate(3099, false)).toBe(false);
  expect(waits.isLate(3100, false)).toBe(true);
  waits.within('linger', 100);
  expect(waits.isLate(5099, false)).toBe(false);
  expect(waits.isLate(5100, false)).toBe(true);
  expect(waits.idleMs(400)).toBe(400);
});

describe('A-051 the slowest that a message may come in', () => {
  const patient = { ...limits, commandTimeoutMs: 1e9, dataTimeoutMs: 1e9, messageTimeoutMs: 1e9 };

  /** Bytes a second, from `fromMs` on. @returns when it was found too slow, at one look a second */
  function cutAtMs(
    bytesPerSecond: number,
    { fromMs = 0, untilMs = 120_000, pauseAtMs = Infinity } = {},
  ): number {
    const waits = new Deadlines({ limits: patient }, 0);
    waits.messageBegun(0);
    for (let nowMs = 0; nowMs <= untilMs; nowMs += 1000) {
      if (waits.isLate(nowMs, true)) return nowMs;
      if (nowMs >= fromMs && nowMs < pauseAtMs) waits.received(bytesPerSecond, nowMs);
    }
    return Infinity;
  }

  test.each([
    { what: 'one byte a second', rate: 1, expected: 10_000 },
    { what: '400 bytes a second', rate: 400, expected: 10_000 },
    { what: '500 bytes a second', rate: 500, expected: Infinity },
    { what: '1 000 bytes a second', rate: 1_000, expected: Infinity },
  ])('$what', ({ rate, expected }) => {
    expect(cutAtMs(rate)).toBe(expected);
  });

  test('the time before the first byte is not the message’s', () => {
    expect(cutAtMs(600, { fromMs: 60_000 })).toBe(Infinity);
    expect(cutAtMs(100, { fromMs: 60_000 })).toBe(70_000);
  });

  test('who stops lives on what came before', () => {
    expect(cutAtMs(1_000, { pauseAtMs: 20_000 })).toBe(41_000);
  });

  test('the time in which the queue took nothing is not the client’s', () => {
    const waits = new Deadlines({ limits: patient }, 0);
    waits.messageBegun(0);
    waits.received(6_000, 0);
    waits.wait('data', true, true, 1_000);
    expect(waits.isLate(60_000, true)).toBe(false);
    waits.wait('data', false, true, 61_000);
    expect(waits.isLate(71_000, true)).toBe(false);
    expect(waits.isLate(74_000, true)).toBe(true);
  });

  test('the time between two BDAT is not the message’s, that inside a chunk is', () => {
    const waits = new Deadlines({ limits: patient }, 0);
    waits.messageBegun(0);
    waits.wait('command', false, true, 0);
    waits.received(6_000, 0); // with its BDAT, whole
    waits.progressed();
    waits.wait('data', false, true, 60_000); // a part of the next one
    waits.received(1_000, 60_000);
    expect(waits.isLate(70_000, true)).toBe(false);
    waits.wait('command', false, true, 73_000);
    waits.wait('data', false, true, 100_000);
    expect(waits.isLate(100_000, true)).toBe(false); // 7 000 bytes in 13 s
    expect(waits.isLate(101_000, true)).toBe(false);
    expect(waits.isLate(102_000, true)).toBe(true);
  });

  test('no limit, no message', () => {
    const free = new Deadlines({ limits: { ...patient, dataBytesPerSecond: 0 } }, 0);
    free.messageBegun(0);
    free.received(1, 0);
    expect(free.isLate(1e6, true)).toBe(false);
    const slow = new Deadlines({ limits: patient }, 0);
    slow.messageBegun(0);
    slow.received(1, 0);
    expect(slow.isLate(1e6, false)).toBe(false);
  });
});

test('a wait that has begun is shorter at once when the limits are', () => {
  const source = { limits };
  const waits = new Deadlines(source, 0);
  waits.wait('command', false, false, 0);
  expect(waits.isLate(100, false)).toBe(false);
  source.limits = { ...limits, commandTimeoutMs: 100 };
  expect(waits.isLate(100, false)).toBe(true);
});
