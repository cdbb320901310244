import { expect, test } from 'vitest';
import { formatFault, formatPath, nearest, show } from '../../src/config/faults.js';

const keys = ['address', 'port', 'token', 'messageBytes', 'recipients'];

test.each([
  ['prot', 'port'],
  ['Port', 'port'],
  ['adress', 'address'],
  ['messagebytes', 'messageBytes'],
  ['message_bytes', 'messageBytes'],
  ['recipient', 'recipients'],
  ['x', undefined],
  ['timeout', undefined],
  ['a'.repeat(200), undefined],
])('nearest to %s is %s', (word, near) => {
  expect(nearest(word, keys)).toBe(near);
});

test.each([
  [undefined, 'nothing'],
  [null, 'nothing'],
  ['', "''"],
  [5, '5'],
  [false, 'false'],
  [[], 'an empty list'],
  [[1], 'a list'],
  [{}, 'a map'],
  [Symbol('x'), 'a symbol'],
])('is shown as a fault has it: %s, %s', (value, shown) => {
  expect(show(value)).toBe(shown);
});

test('a path reads as in the file', () => {
  expect(formatPath(['listeners', 0, 'port'])).toBe('listeners[0].port');
  expect(formatPath(['routes', 'my-route', 'to', 1])).toBe('routes.my-route.to[1]');
});

test('a fault without a path is place and text', () => {
  expect(formatFault({ place: 'a.yaml:1:1', path: '', text: 'not valid YAML' })).toBe(
    'a.yaml:1:1: not valid YAML',
  );
});
