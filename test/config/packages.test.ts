import { expect, test } from 'vitest';

import { checkPackage } from '../../src/config/packages.js';
import { ConfigSource } from '../../src/config/source.js';
import { FaultList } from '../../src/config/validate.js';
import { smallest, writeConfig } from './harness.js';

function faultsFor(name: string): string[] {
  const source = new ConfigSource(writeConfig(smallest));
  const list = new FaultList(source, new Map(), source.value);
  checkPackage(name, ['auth', 'tokens', 'jwks'], 'tokens that keys check', list);
  return list.faults.map(({ path, text }) => `${path}: ${text}`);
}

test('a package that is missing is told at `postern check`, with how to install it', () => {
  expect(faultsFor('jose')).toEqual([]);
  expect(faultsFor('ldapts')).toEqual([]);
  expect(faultsFor('no-such-package')).toEqual([
    'auth.tokens.jwks: found tokens that keys check, expected the package no-such-package beside Postern: `npm install no-such-package` (with -g if Postern is installed so)',
  ]);
});
