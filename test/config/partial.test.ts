import { dirname, join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { loadAdminAccess, loadDataDir, loadFirstListener, loadUsersPath } from '../../src/config/partial.js';
import { smallest, writeConfig } from './harness.js';

describe('admin access', () => {
  test('has defaults and variables as the server has them', () => {
    expect(loadAdminAccess(writeConfig(smallest), { POSTERN_ADMIN_PORT: '99' })).toEqual({
      address: '127.0.0.1',
      port: 99,
      token: undefined,
      dataDir: resolve('data'),
    });
  });

  test('is found in a file with faults elsewhere: an operator can still stop the server', () => {
    const file = writeConfig(
      `${smallest}nonsense: 1\ndataDir: state\ntls: { certificate: /none, key: /none }\n`,
    );
    expect(loadAdminAccess(file, {}).dataDir).toBe(join(dirname(file), 'state'));
  });

  test('tells its own faults, and those alone', () => {
    const file = writeConfig(`${smallest}nonsense: 1\nadmin: { port: x }\n`);
    expect(() => loadAdminAccess(file, {})).toThrow(
      expect.objectContaining({ faults: [expect.objectContaining({ path: 'admin.port' })] }),
    );
  });

  test('is not found in what is no map', () => {
    expect(() => loadAdminAccess(writeConfig('[1]\n'), {})).toThrow('found a list, expected a map of');
  });

  test('is not found in what is no YAML', () => {
    expect(() => loadAdminAccess(writeConfig('a: [\n'), {})).toThrow('not valid YAML');
  });
});

describe('the users file', () => {
  test('need not exist to be named', () => {
    const file = writeConfig(`${smallest}auth: { users: { file: users.yaml } }\n`);
    expect(loadUsersPath(file, {})).toBe(join(dirname(file), 'users.yaml'));
  });

  test('may not be named', () => {
    expect(loadUsersPath(writeConfig(smallest), {})).toBeUndefined();
  });
});

describe('the data directory', () => {
  test('is the one that the config names, be it there or not', () => {
    const file = writeConfig(`${smallest}nonsense: 1\ndataDir: state\n`);
    expect(loadDataDir(file, {})).toBe(join(dirname(file), 'state'));
    expect(loadDataDir(file, { POSTERN_DATA_DIR: '/elsewhere' })).toBe('/elsewhere');
  });

  test('may not be named', () => {
    expect(loadDataDir(writeConfig(smallest), {})).toBeUndefined();
  });
});

describe('the first listener', () => {
  test('is where mail goes in, with the TLS that it has by default', () => {
    const plain = { address: '127.0.0.1', port: 2525, tls: 'off' };
    expect(loadFirstListener(writeConfig(`${smallest}nonsense: 1\n`), {})).toMatchObject(plain);
    const withTls = writeConfig(`${smallest}tls: { certificate: /none, key: /none }\n`);
    expect(loadFirstListener(withTls, {})).toMatchObject({ ...plain, tls: 'starttls' });
  });

  test('tells the faults of listeners', () => {
    const file = writeConfig(`${smallest.replace('2525', 'x')}nonsense: 1\n`);
    expect(() => loadFirstListener(file, {})).toThrow(
      expect.objectContaining({ faults: [expect.objectContaining({ path: 'listeners[0].port' })] }),
    );
  });
});
