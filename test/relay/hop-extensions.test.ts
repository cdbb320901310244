import { describe, expect, it } from 'vitest';

import { extensionsOf } from '../../src/relay/hop-extensions.js';

const none = {
  pipelining: false,
  size: false,
  maxMessageBytes: Infinity,
  eightBitMime: false,
  smtpUtf8: false,
  startTls: false,
  chunking: false,
  dsn: false,
  authMechanisms: [],
};

describe('what a hop announces', () => {
  it.each([
    ['nothing', [], none],
    [
      'all that we use',
      ['PIPELINING', 'SIZE 100', '8BITMIME', 'SMTPUTF8', 'STARTTLS', 'CHUNKING', 'DSN', 'AUTH PLAIN LOGIN'],
      {
        pipelining: true,
        size: true,
        maxMessageBytes: 100,
        eightBitMime: true,
        smtpUtf8: true,
        startTls: true,
        chunking: true,
        dsn: true,
        authMechanisms: ['PLAIN', 'LOGIN'],
      },
    ],
    [
      'lower case and blanks around',
      [' dsn ', 'auth  plain'],
      { ...none, dsn: true, authMechanisms: ['PLAIN'] },
    ],
    ['SIZE without a number (RFC 1870 §4)', ['SIZE'], { ...none, size: true }],
    ['SIZE 0 is no limit', ['SIZE 0'], { ...none, size: true }],
    ['the first of two SIZEs', ['SIZE 5', 'SIZE 6'], { ...none, size: true, maxMessageBytes: 5 }],
    [
      'A-141: a SIZE of 20 digits',
      ['SIZE 99999999999999999999'],
      { ...none, size: true, maxMessageBytes: 1e20 },
    ],
    ['A-141: a SIZE of 21 digits', [`SIZE ${'9'.repeat(21)}`], { ...none, size: true }],
    ['A-141: a SIZE that is no number', ['SIZE -1'], { ...none, size: true }],
    ['A-141: a SIZE in hexadecimal', ['SIZE 0x10'], { ...none, size: true }],
    ['A-141: names of object properties', ['__proto__', 'constructor x', 'toString'], none],
    ['A-141: 5000 keywords', Array.from({ length: 5000 }, (_, i) => `X${i} a b`), none],
    ['keywords that only begin alike', ['SIZED 5', 'DSNX', 'XDSN', 'AUTH=PLAIN'], none],
  ])('%s', (_name, keywords, extensions) => {
    expect(extensionsOf(['hop.example', ...keywords])).toEqual(extensions);
  });

  it('the first line is its name, whatever that is', () => {
    expect(extensionsOf(['PIPELINING'])).toEqual(none);
    expect(extensionsOf([])).toEqual(none);
  });
});
