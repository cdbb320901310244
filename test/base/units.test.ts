import { describe, expect, test } from 'vitest';
import { formatBytes, formatDurationMs, parseBytes, parseDurationMs } from '../../src/base/units.js';

describe('sizes', () => {
  test.each([
    ['25MiB', 26_214_400],
    ['1.5 KiB', 1536],
    ['64KB', 64_000],
    ['100', 100],
    ['0', 0],
    ['10B', 10],
  ])('%s is %d bytes', (text, bytes) => {
    expect(parseBytes(text)).toBe(bytes);
  });

  test.each(['', 'MiB', '1 XB', '-1', '1e9', '1MiB2', '0.3B', '99999999999TiB'])('%j is no size', (text) => {
    expect(parseBytes(text)).toBeUndefined();
  });

  test('are printed in the largest unit that fits', () => {
    expect(formatBytes(26_214_400)).toBe('25MiB');
    expect(formatBytes(1536)).toBe('1.5KiB');
    expect(formatBytes(7)).toBe('7B');
  });
});

describe('durations', () => {
  test.each([
    ['5m', 300_000],
    ['1h30m', 5_400_000],
    ['250ms', 250],
    ['0', 0],
    ['5d', 432_000_000],
  ])('%s is %d ms', (text, ms) => {
    expect(parseDurationMs(text)).toBe(ms);
  });

  test.each(['', '5', 'm', '5 minutes', '-1s', '1w'])('%j is no duration: a number needs a unit', (text) => {
    expect(parseDurationMs(text)).toBeUndefined();
  });

  test('are printed in the largest unit that fits', () => {
    expect(formatDurationMs(300_000)).toBe('5m');
    expect(formatDurationMs(5_400_000)).toBe('1.5h');
    expect(formatDurationMs(250)).toBe('250ms');
  });
});
