import { describe, expect, test } from 'vitest';
import { overlayEnvironment, variableFor } from '../../src/config/environment.js';
import { configKeys } from '../../src/config/keys.js';
import { faultsOf, load, smallest } from './harness.js';

test.each([
  [['admin', 'port'], 'POSTERN_ADMIN_PORT'],
  [['limits', 'messageBytes'], 'POSTERN_LIMITS_MESSAGE_BYTES'],
  [['auth', 'users', 'file'], 'POSTERN_AUTH_USERS_FILE'],
  [['hostname'], 'POSTERN_HOSTNAME'],
])('%j is set by %s', (path, variable) => {
  expect(variableFor(path)).toBe(variable);
});

test('every scalar outside lists and maps has a variable, and no two share one', () => {
  const overridable = configKeys().filter((key) => key.overridable);
  const variables = overridable.map((key) => variableFor(key.path));
  expect(new Set(variables).size).toBe(variables.length);
  expect(variables).toContain('POSTERN_LOG_LEVEL');
  expect(variables).toContain('POSTERN_WORKERS');
  expect(variables).toContain('POSTERN_POLICY_DNSBL_TIMEOUT');
  expect(overridable.filter((key) => key.path.some((part) => part === '[]' || part === '*'))).toEqual([]);
});

describe('a variable', () => {
  test('wins over the file and over the default', () => {
    const config = load(`${smallest}admin: { port: 1 }\n`, {
      POSTERN_ADMIN_PORT: '0',
      POSTERN_HOSTNAME: 'other.example.test',
      POSTERN_LIMITS_MESSAGE_BYTES: '1MiB',
      POSTERN_LIMITS_COMMAND_TIMEOUT: '1m',
      POSTERN_LIMITS_RECIPIENTS: '500',
      POSTERN_WORKERS: '3',
      POSTERN_LOG_LEVEL: 'warn',
    });
    expect(config.admin.port).toBe(0);
    expect(config.hostname).toBe('other.example.test');
    expect(config.limits).toMatchObject({ messageBytes: 2 ** 20, commandTimeoutMs: 60_000, recipients: 500 });
    expect(config.workers).toBe(3);
    expect(config.log.level).toBe('warn');
  });

  test('can be "auto" where a number could stand', () => {
    expect(load(`${smallest}workers: 2\n`, { POSTERN_WORKERS: 'auto' }).workers).toBeGreaterThan(0);
  });

  test('switches on and off', () => {
    expect(load(smallest, { POSTERN_NOTIFICATIONS_ENABLED: 'false' }).notifications.enabled).toBe(false);
    const off = `${smallest}notifications: { enabled: false }\n`;
    expect(load(off, { POSTERN_NOTIFICATIONS_ENABLED: 'true' }).notifications.enabled).toBe(true);
    expect(faultsOf(smallest, { POSTERN_NOTIFICATIONS_ENABLED: 'no' })).toEqual([
      "POSTERN_NOTIFICATIONS_ENABLED: notifications.enabled: found 'no', expected true or false",
    ]);
  });

  test('can make a section that the file has not', () => {
    expect(faultsOf(smallest, { POSTERN_TLS_KEY: '/none' })).toEqual([
      'postern.yaml:1:1: tls.certificate: found nothing, expected a path',
    ]);
  });

  test('empty or null takes a token back', () => {
    const yaml = `${smallest}admin: { token: 0123456789abcdef }\n`;
    expect(load(yaml).admin.token).toBe('0123456789abcdef');
    expect(load(yaml, { POSTERN_ADMIN_TOKEN: '' }).admin.token).toBeUndefined();
    expect(load(yaml, { POSTERN_ADMIN_TOKEN: 'null' }).admin.token).toBeUndefined();
  });

  test('stays text where text is wanted', () => {
    expect(load(smallest, { POSTERN_ADMIN_TOKEN: '1234567890123456' }).admin.token).toBe('1234567890123456');
  });

  test.each<[NodeJS.ProcessEnv, string]>([
    [
      { POSTERN_ADMIN_PORT: 'http' },
      "POSTERN_ADMIN_PORT: admin.port: found 'http', expected a whole number from 0 to 65535",
    ],
    [
      { POSTERN_ADMIN_PORT: '65536' },
      'POSTERN_ADMIN_PORT: admin.port: found 65536, expected a whole number from 0 to 65535',
    ],
    [
      { POSTERN_ADMIN_ADDRESS: '0.0.0.0' },
      "POSTERN_ADMIN_ADDRESS: admin.address: found '0.0.0.0', expected a loopback address such as 127.0.0.1, or an `admin.token` of your own: others can reach this one",
    ],
    [
      { POSTERN_ADMIN_TOKEN: 'hunter2' },
      'POSTERN_ADMIN_TOKEN: admin.token: found something else, expected 16 to 256 printable ASCII characters without spaces',
    ],
    [
      { POSTERN_HOSTNAME: '' },
      "POSTERN_HOSTNAME: hostname: found '', expected a domain name such as mx1.example.org",
    ],
  ])('that is wrong is named in the fault: %j', (env, fault) => {
    expect(faultsOf(smallest, env)).toEqual([fault]);
  });

  test.each([
    ['POSTERN_ADMIN_PROT', 'did you mean POSTERN_ADMIN_PORT?'],
    ['POSTERN_MESSAGE_BYTES', 'did you mean POSTERN_LIMITS_MESSAGE_BYTES?'],
    ['POSTERN_LISTENERS', '`postern config reference` lists them'],
    ['POSTERN_ROUTES_DISK_TO', '`postern config reference` lists them'],
  ])('%s overrides nothing, which is a fault (%s)', (variable, hint) => {
    expect(faultsOf(smallest, { [variable]: 'x' })).toEqual([
      `${variable}: found a variable that overrides no config key (${hint})`,
    ]);
  });

  test.each([
    ['POSTERN_CONFIG', 'x.yaml', 'says which file'],
    ['POSTERN_SKIP_BUILD', '1', 'is for the tests'],
    ['POSTERN_TEST_ANYTHING', '1', 'is for the tests'],
    ['POSTERN_SEND_PASSWORD', 'x', 'is for `postern send`'],
    ['POSTERN_SERVICE_HOST', '10.96.0.7', 'Kubernetes sets for a service named postern'],
    ['POSTERN_SERVICE_PORT_SMTP', '25', 'Kubernetes sets for a service named postern'],
    ['POSTERN_PORT', 'tcp://10.96.0.7:25', 'Kubernetes sets for a service named postern'],
    ['POSTERN_PORT_25_TCP_ADDR', '10.96.0.7', 'Kubernetes sets for a service named postern'],
    ['POSTERN_MX_SERVICE_PORT', '25', 'Kubernetes sets for a service named postern-mx'],
    ['OTHER_ADMIN_PORT', 'x', 'is not ours'],
  ])('%s=%s is let be: %s', (variable, value) => {
    expect(load(smallest, { [variable]: value }).admin.port).toBe(2580);
  });
});

test('the file itself is not changed by a variable', () => {
  const file = { admin: { port: 1 } };
  const overlay = overlayEnvironment(file, { POSTERN_ADMIN_PORT: '2' });
  expect(file).toEqual({ admin: { port: 1 } });
  expect(overlay.value).toEqual({ admin: { port: 2 } });
});

test('a file with a list where a map belongs keeps its own fault', () => {
  expect(faultsOf(`${smallest}admin: [1]\n`, { POSTERN_ADMIN_PORT: '1' })).toEqual([
    'postern.yaml:8:8: admin: found a list, expected a map of address, port, token',
  ]);
});
