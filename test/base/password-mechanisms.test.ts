import { expect, test } from 'vitest';

import { showsPassword } from '../../src/base/password-mechanisms.js';
import { mechanisms } from '../../src/protocol/types.js';

test('of all mechanisms PLAIN and LOGIN alone hand a password over', () => {
  expect(mechanisms.filter(showsPassword)).toEqual(['PLAIN', 'LOGIN']);
});
