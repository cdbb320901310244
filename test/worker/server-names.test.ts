import { expect, test } from 'vitest';
import { ServerNames } from '../../src/worker/server-names.js';

const names = new ServerNames<string>();
names.add(['mx.example.test', '*.example.test'], 'example');
names.add(['special.example.test'], 'special');
names.add(['*.xn--bcher-kva.test'], 'bücher');

test.each([
  ['an exact name', 'mx.example.test', 'example'],
  ['in any case', 'MX.Example.TEST', 'example'],
  ['an exact name before a wildcard', 'special.example.test', 'special'],
  ['one label under a wildcard', 'imap.example.test', 'example'],
  ['two labels under a wildcard', 'a.b.example.test', undefined],
  ['the name that a wildcard stands under', 'example.test', undefined],
  ['an A-label', 'mx.xn--bcher-kva.test', 'bücher'],
  ['an empty label', '.example.test', undefined],
  ['a wildcard asked for as such', '*.other.test', undefined],
  ['nothing', '', undefined],
  ['what every object has', '__proto__', undefined],
])('%s: %s', (_, asked, found) => {
  expect(names.find(asked)).toBe(found);
});
