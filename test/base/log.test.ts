/** What a log line may hold; the lines of whole servers are read in e2e/hostile-values. */
import { describe, expect, it } from 'vitest';

import { printableLine } from '../../src/base/log.js';

describe('A-080: a log line', () => {
  it.each([
    ['C1: U+009B begins a control sequence', '\u009b31m', String.raw`"\u009b31m"`],
    ['DEL', 'a\u007f', String.raw`"a\u007f"`],
    ['a line separator', '\u2028', String.raw`"\u2028"`],
    ['text that turns its direction', '\u202egpj.exe', String.raw`"\u202egpj.exe"`],
    ['a letter beyond ASCII stays', 'é ф 漢', '"é ф 漢"'],
  ])('%s', (_, value, written) => {
    const line = printableLine(JSON.stringify(value));
    expect(line).toBe(written);
    expect(JSON.parse(line)).toBe(value);
  });
});
