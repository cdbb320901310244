import { expect, test } from 'vitest';
import { decodeXtext, isPrintableXtext } from '../../src/protocol/xtext.js';

test.each<[string, 'printable' | 'xtext' | 'neither', string]>([
  ['', 'printable', 'nothing at all: the grammar has a *'],
  ['joe@example.org', 'printable', 'printable characters stand for themselves'],
  ['!~;<>"\\', 'printable', 'all of them'],
  ['a+2Bb+3Dc+20d', 'printable', 'plus, equals and space as hexchars'],
  ['a+09b', 'printable', 'a tab is white space'],
  ['a+0D+0Ab', 'xtext', 'CR and LF (A-085)'],
  ['a+00', 'xtext', 'NUL'],
  ['a+7F', 'xtext', 'DEL'],
  ['a+C3+A9', 'xtext', 'beyond ASCII'],
  ['a+2b', 'neither', 'hexadecimal digits are upper case'],
  ['a+2', 'neither', 'a digit less'],
  ['a+', 'neither', 'none'],
  ['a++2B', 'neither', 'a plus for itself'],
  ['a=b', 'neither', 'an equals sign'],
  ['a b', 'neither', 'a space'],
  ['a\tb', 'neither', 'a tab'],
  ['a\x7f', 'neither', 'a control character'],
  ['é', 'neither', 'what is no ASCII'],
])('C-122 %j is %s: %s', (text, kind) => {
  expect(decodeXtext(text) !== undefined).toBe(kind !== 'neither');
  expect(isPrintableXtext(text)).toBe(kind === 'printable');
});
