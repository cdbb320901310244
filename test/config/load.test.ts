import { availableParallelism } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { expect, test, describe } from 'vitest';
import { ConfigError } from '../../src/config/faults.js';
import { loadConfig } from '../../src/config/load.js';
import { faultsOf, load, smallest, temporaryFolder, withTls, writeConfig } from './harness.js';

describe('a right file', () => {
  test('gets every default, in bytes and milliseconds', () => {
    const config = load(smallest);
    expect(config).toMatchObject({
      hostname: 'mx.example.test',
      postmaster: undefined,
      dataDir: resolve('data'),
      workers: availableParallelism(),
      listeners: [
        { name: 'mx', address: '127.0.0.1', port: 2525, role: 'inbound', tls: 'off', route: undefined },
      ],
      tls: undefined,
      admin: { address: '127.0.0.1', port: 2580, token: undefined },
      dns: { servers: [] },
      domains: [{ names: ['example.test'], recipients: { kind: 'any' }, route: 'disk' }],
      policy: {
        bareNewlines: { mode: 'reject', normalizeFrom: [] },
        dnsbl: undefined,
        greetDelayMs: 0,
        unauthorizedPipelining: 'refuse',
      },
      auth: {
        mechanisms: ['SCRAM-SHA-256', 'PLAIN', 'LOGIN'],
        usersFile: undefined,
        tokens: undefined,
      },
      log: { level: 'info' },
    });
    expect(config.limits).toEqual({
      messageBytes: 25 * 2 ** 20,
      recipients: 1_000,
      bytesInFlight: 256 * 2 ** 20,
      bytesInFlightPerHost: 64 * 2 ** 20,
      bytesInFlightPerNetwork: 128 * 2 ** 20,
      diskReserve: 2 ** 30,
      queueMessages: 1_000_000,
      queueBytes: 64 * 2 ** 30,
      exempt: ['127.0.0.0/8', '::1'],
      connectionsPerWorker: 10_000,
      connectionsPerHost: 50,
      connectionsPerNetwork: 200,
      connectionsPerHostPerMinute: 300,
      connectionsPerNetworkPerMinute: 1_200,
      messagesPerHostPerMinute: 0,
      messagesPerNetworkPerMinute: 0,
      recipientsPerHostPerMinute: 0,
      recipientsPerNetworkPerMinute: 0,
      errors: 10,
      junkCommands: 50,
      authFailures: 5,
      authFailuresPerHostPerMinute: 20,
      authFailuresPerNetworkPerMinute: 60,
      authFailuresPerAccountPerMinute: 10,
      commandLineBytes: 2_048,
      dataLineBytes: 65_536,
      headerBytes: 262_144,
      receivedHops: 100,
      ownReceivedHops: 5,
      commandTimeoutMs: 300_000,
      dataTimeoutMs: 300_000,
      messageTimeoutMs: 1_800_000,
      tlsHandshakeTimeoutMs: 30_000,
      proxyHeaderTimeoutMs: 5_000,
      softErrors: 5,
      errorDelayMs: 1_000,
      headerFields: 1_000,
      transactions: 1_000,
      sessionAgeMs: 7_200_000,
      dataBytesPerSecond: 500,
      dataRateAfterMs: 10_000,
      stress: {
        errors: 1,
        junkCommands: 1,
        commandTimeoutMs: 10_000,
        dataTimeoutMs: 60_000,
        tlsHandshakeTimeoutMs: 10_000,
      },
    });
  });

  test('tells senders of failures, and after four hours of delays', () => {
    expect(load(smallest).notifications).toEqual({
      enabled: true,
      delayAfterMs: 14_400_000,
      route: undefined,
      templateFile: undefined,
      perSenderPerHour: 20,
      perHour: 1_000,
      keepFailedMs: 604_800_000,
    });
  });

  test('takes the words of notifications from a file beside the config', () => {
    const yaml = `${smallest}notifications: { template: words.txt, route: disk }\n`;
    const file = writeConfig(yaml, { 'words.txt': 'Sorry.\n' });
    expect(loadConfig(file, {}).notifications).toMatchObject({
      templateFile: join(dirname(file), 'words.txt'),
      route: 'disk',
    });
  });

  test('C-041: gives a client five minutes for its next command', () => {
    expect(load(smallest).limits.commandTimeoutMs).toBe(300_000);
  });

  test('C-108: an inbound listener that says nothing of TLS offers it where there is a certificate, and requires it of nobody', () => {
    expect(load(smallest).listeners.map(({ tls }) => tls)).toEqual(['off']);
    expect(load(withTls + smallest).listeners.map(({ tls }) => tls)).toEqual(['starttls']);
  });

  test('C-076: retries begin after a minute, slow down to an hour, end after five days', () => {
    expect(load(smallest).routes['disk']?.retry).toEqual({
      firstMs: 60_000,
      maxMs: 3_600_000,
      expireMs: 432_000_000,
    });
  });

  test('fills routes in by the kind of their next hop', () => {
    const { routes } = load(`${smallest}  office: { to: [smtp://10.0.0.5, 'smtp://[2001:db8::1]:26'] }\n`);
    expect(routes['office']).toMatchObject({
      name: 'office',
      hops: [
        { kind: 'smtp', host: '10.0.0.5', port: 25 },
        { kind: 'smtp', host: '2001:db8::1', port: 26 },
      ],
      tls: 'opportunistic',
      connections: 20,
      messagesPerConnection: 100,
    });
    expect(routes['disk']).toMatchObject({ tls: 'off', connections: 4 });
  });

  test('resolves paths: the config folder for its own, the data directory for maildirs', () => {
    const file = writeConfig(`${smallest}dataDir: ./state\nauth: { users: { file: users.yaml } }\n`, {
      'users.yaml': 'users: {}\n',
    });
    const config = loadConfig(file, {});
    const folder = dirname(file);
    expect(config.dataDir).toBe(join(folder, 'state'));
    expect(config.auth.usersFile).toBe(join(folder, 'users.yaml'));
    expect(config.routes['disk']?.hops).toEqual([{ kind: 'maildir', path: join(folder, 'state/maildir') }]);
  });

  test('offers TLS by itself where there is a certificate, and insists on it for submission', () => {
    const config = load(
      smallest.replace(
        'domains:',
        '  - { name: sub, address: 127.0.0.1, port: 2526, role: submission, route: disk }\ndomains:',
      ) + `${withTls}auth: { users: { file: users.yaml } }\n`,
      {},
      { 'users.yaml': '' },
    );
    expect(config.listeners.map(({ name, tls }) => [name, tls])).toEqual([
      ['mx', 'starttls'],
      ['sub', 'required'],
    ]);
  });

  test('leaves the certificate out where no listener wants TLS', () => {
    const yaml = smallest.replace('port: 2525', 'port: 2525, tls: off') + withTls;
    expect(load(yaml).tls).toBeUndefined();
  });

  test('takes recipients from a list or from the lines of a file, in lower case, each once', () => {
    const listed = smallest.replace(
      'route: disk',
      'recipients: [Info, info, Sales@Example.TEST], route: disk',
    );
    expect(load(listed).domains[0]?.recipients).toEqual({
      kind: 'list',
      addresses: ['info', 'sales@example.test'],
    });
    const filed = smallest.replace('route: disk', 'recipients: { file: people.txt }, route: disk');
    const people = '# staff\r\nInfo\r\n\n  sales@example.test # shop\n';
    expect(load(filed, {}, { 'people.txt': people }).domains[0]?.recipients).toEqual({
      kind: 'list',
      addresses: ['info', 'sales@example.test'],
    });
  });

  test('knows an internationalized domain in both of its forms', () => {
    const yaml = smallest.replace('[example.test]', '[bücher.example]');
    expect(load(yaml).domains[0]?.names).toEqual(['bücher.example', 'xn--bcher-kva.example']);
  });

  test('lets several listeners take a free port', () => {
    const yaml = smallest.replace(
      'port: 2525 }',
      'port: 0 }\n  - { name: other, address: 127.0.0.1, port: 0 }',
    );
    expect(load(yaml).listeners.map(({ port }) => port)).toEqual([0, 0]);
  });

  test('is frozen to its last leaf', () => {
    const unfrozen: string[] = [];
    const look = (value: unknown, path: string): void => {
      if (typeof value !== 'object' || value === null) return;
      if (!Object.isFrozen(value)) unfrozen.push(path);
      for (const [key, inner] of Object.entries(value)) look(inner, `${path}.${key}`);
    };
    look(load(smallest), 'config');
    expect(unfrozen).toEqual([]);
  });

  test('may use anchors, comments and JSON', () => {
    const yaml =
      smallest.replace('[example.test]', '&mine [example.test]') + '# ours\ndns: {"servers": ["::1"]}\n';
    expect(load(yaml).dns.servers).toEqual(['::1']);
  });
});

describe('a wrong file', () => {
  test('tells every fault at once, of shape and across keys, in the order of the lines', () => {
    const yaml = `hostname: [mx]
listeners:
  - { name: mx, address: localhost, port: 25 }
  - name: sub
    address: 127.0.0.1
    port: '587'
    role: submission
  - { name: other, address: 127.0.0.1, port: 2580, route: nowhere }
domains:
  - names: ['*', example.org]
    route: ofice
routes:
  office: { to: smtp://10.0.0.5, retry: { first: 2h } }
limits:
  messageBytes: 25
  comandTimeout: 5m
`;
    expect(faultsOf(yaml, { POSTERN_ADMIN_PROT: '1' })).toEqual([
      'postern.yaml:1:11: hostname: found a list, expected a domain name such as mx1.example.org',
      "postern.yaml:3:26: listeners[0].address: found 'localhost', expected an IP address",
      "postern.yaml:6:11: listeners[1].port: found '587', expected a whole number from 0 to 65535",
      'postern.yaml:8:46: listeners[2].port: found 2580, expected another port: admin listens on 127.0.0.1 with this one',
      'postern.yaml:8:52: listeners[2].route: found a route on an inbound listener, expected none: its mail goes where `domains` says',
      "postern.yaml:10:13: domains[0].names[0]: found '*', expected domains of your own: this takes mail for domains that others own and makes an open relay",
      "postern.yaml:11:12: domains[0].route: found 'ofice', expected one of the routes office",
      'postern.yaml:13:50: routes.office.retry.first: found a first wait longer than `max`, expected at most as long',
      'postern.yaml:15:17: limits.messageBytes: found 25, expected a size from 64KiB to 2GiB, in B, KiB, MiB, GiB or TiB',
      expect.stringMatching(
        /^postern\.yaml:16:3: limits\.comandTimeout: found an unknown key \(did you mean 'commandTimeout'\?\), expected one of messageBytes, .*/,
      ),
      'POSTERN_ADMIN_PROT: found a variable that overrides no config key (did you mean POSTERN_ADMIN_PORT?)',
    ]);
  });

  test.each([
    [
      '',
      'postern.yaml:1:1: hostname: found nothing, expected a domain name such as mx1.example.org',
      'an empty file',
    ],
    ['[1, 2]', 'postern.yaml:1:1: found a list, expected a map of hostname', 'a list'],
    [
      'hostname: a.b\nhostname: c.d\n',
      'postern.yaml:2:1: found a key that was given before, expected each key once',
      'a key twice',
    ],
    [
      'limits:\n\terrors: 5\n',
      'postern.yaml:2:1: found a tab, expected spaces: YAML indents with spaces only',
      'a tab',
    ],
    ['a: [1, 2\nb: 3\n', 'postern.yaml:2:', 'a bracket that is not closed'],
    ['a: "x\n', 'postern.yaml:', 'a quote that is not closed'],
    ['a: *nowhere\n', 'postern.yaml:1:4:', 'an alias without its anchor'],
    ['a: 1\n---\nb: 2\n', 'postern.yaml:2:1:', 'two documents'],
    ['a: !secret x\n', 'postern.yaml:1:4:', 'a tag that is not known'],
  ])('%j', (yaml, expected) => {
    expect(faultsOf(yaml).some((fault) => fault.startsWith(expected))).toBe(true);
  });

  test.each<[string, string]>([
    ['dataDir: 5', '8:10: dataDir: found the number 5, expected a path'],
    [
      'postmaster: nobody',
      "8:13: postmaster: found 'nobody', expected a mail address such as postmaster@example.org",
    ],
    ['workers: 0', '8:10: workers: found 0, expected auto or a whole number from 1 to 256'],
    ['workers: some', "8:10: workers: found 'some', expected auto or a whole number from 1 to 256"],
    ['workers: 1.5', '8:10: workers: found 1.5, expected auto or a whole number from 1 to 256'],
    ['admin: { port: 65536 }', '8:16: admin.port: found 65536, expected a whole number from 0 to 65535'],
    ['admin: { port: }', '8:16: admin.port: found nothing, expected a whole number from 0 to 65535'],
    ['admin:', '8:7: admin: found nothing, expected a map of address, port, token'],
    [
      'admin: { token: secret }',
      '8:17: admin.token: found something else, expected 16 to 256 printable ASCII characters without spaces',
    ],
    [
      'log: { level: loud }',
      "8:15: log.level: found 'loud', expected one of trace, debug, info, warn, error",
    ],
    [
      'limits: { messageBytes: 25 mib }',
      "8:25: limits.messageBytes: found '25 mib', expected a size from 64KiB to 2GiB, in B, KiB, MiB, GiB or TiB",
    ],
    [
      'limits: { messageBytes: 5GiB }',
      "8:25: limits.messageBytes: found '5GiB', expected a size from 64KiB to 2GiB, in B, KiB, MiB, GiB or TiB",
    ],
    [
      'limits: { messageBytes: -1 }',
      '8:25: limits.messageBytes: found -1, expected a size from 64KiB to 2GiB, in B, KiB, MiB, GiB or TiB',
    ],
    [
      'limits: { messageBytes: [1] }',
      '8:25: limits.messageBytes: found a list, expected a size from 64KiB to 2GiB, in B, KiB, MiB, GiB or TiB',
    ],
    [
      'limits: { dataTimeout: 300 }',
      '8:24: limits.dataTimeout: found 300, expected a duration from 1s to 1d, in ms, s, m, h or d',
    ],
    [
      'limits: { dataTimeout: 5min }',
      "8:24: limits.dataTimeout: found '5min', expected a duration from 1s to 1d, in ms, s, m, h or d",
    ],
    [
      'limits: { dataTimeout: 5MiB }',
      "8:24: limits.dataTimeout: found '5MiB', expected a duration from 1s to 1d, in ms, s, m, h or d",
    ],
    [
      'limits: { dataTimeout: 10ms }',
      "8:24: limits.dataTimeout: found '10ms', expected a duration from 1s to 1d, in ms, s, m, h or d",
    ],
    [
      'limits: { recipients: 99 }',
      '8:23: limits.recipients: found 99, expected a whole number from 100 to 100000',
    ],
    [
      'limits: { exempt: [10.0.0.0/33] }',
      "8:20: limits.exempt[0]: found '10.0.0.0/33', expected a network such as 192.0.2.0/24 or 2001:db8::/32",
    ],
    [
      'limits: { exempt: ["10.0.0.0/8", loopback] }',
      "8:34: limits.exempt[1]: found 'loopback', expected a network such as 192.0.2.0/24 or 2001:db8::/32",
    ],
    [
      'limits: { exempt: 10.0.0.0/8 }',
      "8:19: limits.exempt: found '10.0.0.0/8', expected a list of up to 10000 networks",
    ],
    [
      'dns: { servers: [resolver] }',
      "8:18: dns.servers[0]: found 'resolver', expected an IP address, with a port if wanted: 127.0.0.1:5353, [::1]:53",
    ],
    [
      'auth: { mechanisms: [NTLM] }',
      "8:22: auth.mechanisms[0]: found 'NTLM', expected one of SCRAM-SHA-256, SCRAM-SHA-1, PLAIN, LOGIN, OAUTHBEARER, XOAUTH2, EXTERNAL, CRAM-MD5",
    ],
    [
      'auth: { mechanisms: [] }',
      '8:21: auth.mechanisms: found an empty list, expected a list of 1 to 8 mechanisms',
    ],
    ['policy: { dnsbl: {} }', '8:11: policy.dnsbl.lists: found nothing, expected a list of 1 to 64 lists'],
    [
      'policy: { dnsbl: { lists: [{ zone: a..b }] } }',
      "8:36: policy.dnsbl.lists[0].zone: found 'a..b', expected a domain such as zen.example.net",
    ],
    [
      'policy: { dnsbl: { lists: [{ zone: a.b, weight: 0 }] } }',
      '8:49: policy.dnsbl.lists[0].weight: found 0, expected a number from -1000 to 1000, not 0',
    ],
    [
      'policy: { dnsbl: { lists: [{ zone: a.b, replies: [8.8.8.8] }] } }',
      "8:51: policy.dnsbl.lists[0].replies[0]: found '8.8.8.8', expected a filter such as 127.0.0.[2..11], its first octet 127",
    ],
    [
      'hooks: ./hooks.mjs',
      '8:1: hooks: found an unknown key, expected one of hostname, postmaster, dataDir, workers, listeners, tls, admin, dns, domains, routes, notifications, limits, policy, auth, log',
    ],
    [
      'listners: []',
      "8:1: listners: found an unknown key (did you mean 'listeners'?), expected one of hostname, postmaster, dataDir, workers, listeners, tls, admin, dns, domains, routes, notifications, limits, policy, auth, log",
    ],
  ])('%s', (line, expected) => {
    expect(faultsOf(`${smallest}${line}\n`)).toEqual([`postern.yaml:${expected}`]);
  });

  test.each<[string, string]>([
    [
      '  office: { to: 10.0.0.5 }',
      "8:17: routes.office.to: found '10.0.0.5', expected smtp://host:port, lmtp://host:port, maildir:path or mx",
    ],
    [
      '  office: { to: [smtp://10.0.0.5, smtp:no] }',
      "8:35: routes.office.to[1]: found 'smtp:no', expected smtp://host:port, lmtp://host:port, maildir:path or mx",
    ],
    [
      '  office: { to: [] }',
      '8:17: routes.office.to: found an empty list, expected a list of 1 to 16 next hops',
    ],
    [
      '  office: { to: 25 }',
      '8:17: routes.office.to: found 25, expected smtp://host:port, lmtp://host:port, maildir:path or mx, or a list of them',
    ],
    [
      '  office: {}',
      '8:3: routes.office.to: found nothing, expected smtp://host:port, lmtp://host:port, maildir:path or mx, or a list of them',
    ],
    [
      '  my office: { to: smtp://10.0.0.5 }',
      "8:3: routes.my office: found 'my office', expected a name of up to 32 letters, digits, - and _",
    ],
    [
      '  office: { to: smtp://10.0.0.5, port: 25 }',
      '8:34: routes.office.port: found an unknown key, expected one of to, tls, tlsCa, tlsFingerprints, auth, timeouts, messagesPerSecond, connections, messagesPerConnection, retry',
    ],
    [
      '  office: smtp://10.0.0.5',
      "8:11: routes.office: found 'smtp://10.0.0.5', expected a map of to, tls, tlsCa, tlsFingerprints, auth, timeouts, messagesPerSecond, connections, messagesPerConnection, retry",
    ],
  ])('route %s', (line, expected) => {
    expect(faultsOf(`${smallest}${line}\n`)).toEqual([`postern.yaml:${expected}`]);
  });

  test.each<[string, string]>([
    [
      'recipients: all',
      "5:42: domains[0].recipients: found 'all', expected any, none, a list of addresses, or { file: PATH }",
    ],
    [
      'recipients: [a b]',
      "5:43: domains[0].recipients[0]: found 'a b', expected an address or the part before its @",
    ],
    [
      'recipients: { fil: x }',
      "5:44: domains[0].recipients.fil: found an unknown key (did you mean 'file'?), expected one of file",
    ],
    [
      'recipients: 5',
      '5:42: domains[0].recipients: found 5, expected any, none, a list of addresses, or { file: PATH }',
    ],
  ])('domain with %s', (entry, expected) => {
    const yaml = smallest.replace('route: disk', `${entry}, route: disk`);
    expect(faultsOf(yaml)).toContain(`postern.yaml:${expected}`);
  });

  test('cuts a long value short', () => {
    expect(faultsOf(`${smallest}postmaster: ${'x'.repeat(200)}\n`)).toEqual([
      `postern.yaml:8:13: postmaster: found '${'x'.repeat(60)}…', expected a mail address such as postmaster@example.org`,
    ]);
  });

  test.each(['hunter2', '12345678901234'])('never shows a token: %s', (token) => {
    const fault = faultsOf(`${smallest}admin: { token: ${token} }\n`).join();
    expect(fault).toContain('admin.token');
    expect(fault).not.toContain(token);
  });

  test('stops at a bomb of aliases', () => {
    const levels = Array.from({ length: 9 }, (_, n) => `l${n + 1}: &l${n + 1} [${`*l${n}, `.repeat(9)}x]`);
    expect(faultsOf(`l0: &l0 [x]\n${levels.join('\n')}\n`)).toEqual([
      expect.stringContaining('Excessive alias count'),
    ]);
  });

  test('is told by name when it cannot be read', () => {
    const file = join(temporaryFolder(), 'none.yaml');
    expect(() => loadConfig(file, {})).toThrow(ConfigError);
    try {
      loadConfig(file, {});
    } catch (error) {
      expect(error).toMatchObject({ code: 'CONFIG_UNREADABLE' });
      expect(String(error)).toContain(`${file}: the config file cannot be read: ENOENT`);
    }
  });
});
