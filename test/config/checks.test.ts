import { networkInterfaces } from 'node:os';
import { describe, expect, test } from 'vitest';
import { faultsOf, load, smallest, withTls } from './harness.js';

/** `smallest` with other listeners; each entry is the inside of a map. */
function withListeners(...entries: string[]): string {
  return smallest.replace(/ {2}- \{ name: mx.*\n/, entries.map((entry) => `  - { ${entry} }\n`).join(''));
}

const mx = 'name: mx, address: 127.0.0.1, port: 2525';
const submission = 'name: sub, address: 127.0.0.1, port: 2587, role: submission';
const users = 'auth: { users: { file: users.yaml } }\n';
const usersFile = { 'users.yaml': 'users: {}\n' };

describe('listeners', () => {
  test.each<[string, string, string[]]>([
    [
      'a submission listener without a route',
      withListeners(submission) + withTls + users,
      [
        'postern.yaml:3:5: listeners[0].route: found nothing, expected a route for the mail of users who log in: one of the routes disk',
      ],
    ],
    [
      'a submission listener whose route is not there',
      withListeners(`${submission}, route: out`) + withTls + users,
      ["postern.yaml:3:75: listeners[0].route: found 'out', expected one of the routes disk"],
    ],
    [
      'a submission listener without TLS: passwords in the clear',
      withListeners(`${submission}, route: disk, tls: off`) + users,
      [
        "postern.yaml:3:86: listeners[0].tls: found 'off', expected starttls, required or implicit: passwords are taken inside TLS only",
      ],
    ],
    [
      'a submission listener without users',
      withListeners(`${submission}, route: disk`) + withTls,
      [
        'postern.yaml:3:5: listeners[0]: found a submission listener without users, expected `auth: { users: { file: FILE } }` in this config, which `postern users add` fills, `auth.backend` or `auth.tokens`, with a mechanism of theirs',
      ],
    ],
    [
      'LMTP on the port of SMTP (RFC 2033 §5)',
      withListeners('name: a, address: 127.0.0.1, port: 25, protocol: lmtp') + withTls,
      [
        'postern.yaml:3:42: listeners[0].port: found 25, expected another port, such as 24: LMTP must not be on port 25, where SMTP is spoken',
      ],
    ],
    [
      'LMTP for users who log in',
      withListeners(`${submission}, route: disk, protocol: lmtp`) + withTls + users,
      [
        "postern.yaml:3:91: listeners[0].protocol: found 'lmtp', expected smtp: users who log in send mail by SMTP",
      ],
    ],
    [
      'TLS by default, without a certificate',
      withListeners(`${submission}, route: disk`) + users,
      [
        "postern.yaml:3:5: listeners[0]: found TLS 'required' without a certificate, expected `tls: { certificate: FILE, key: FILE }` in this config",
      ],
    ],
    [
      'TLS by wish, without a certificate',
      withListeners(`${mx}, tls: starttls`),
      [
        "postern.yaml:3:54: listeners[0].tls: found TLS 'starttls' without a certificate, expected `tls: { certificate: FILE, key: FILE }` in this config",
      ],
    ],
    [
      'proxies that are everybody',
      withListeners(`${mx}, proxyProtocol: [10.0.0.0/8, 0.0.0.0/0, "::/0"]`),
      [
        "postern.yaml:3:77: listeners[0].proxyProtocol[1]: found '0.0.0.0/0', expected the networks of your own proxies: everybody in this one could claim to be any client",
        "postern.yaml:3:88: listeners[0].proxyProtocol[2]: found '::/0', expected the networks of your own proxies: everybody in this one could claim to be any client",
      ],
    ],
    [
      'A-113 A-110: peers that are half the Internet, which could then claim any client and any log-in',
      withListeners(
        `${mx}, xclient: [128.0.0.0/7, 10.0.0.0/8, "2000::/3", "fc00::/7", "::ffff:0:0/96", "::ffff:10.0.0.0/104", "::/8", "::1"]`,
      ),
      [
        "postern.yaml:3:59: listeners[0].xclient[0]: found '128.0.0.0/7', expected the networks of your own proxies: everybody in this one could claim to be any client",
        "postern.yaml:3:84: listeners[0].xclient[2]: found '2000::/3', expected the networks of your own proxies: everybody in this one could claim to be any client",
        "postern.yaml:3:108: listeners[0].xclient[4]: found '::ffff:0:0/96', expected the networks of your own proxies: everybody in this one could claim to be any client",
        "postern.yaml:3:148: listeners[0].xclient[6]: found '::/8', expected the networks of your own proxies: everybody in this one could claim to be any client",
      ],
    ],
    [
      'a proxy by name',
      withListeners(`${mx}, proxyProtocol: [lb.example.org]`),
      [
        "postern.yaml:3:65: listeners[0].proxyProtocol[0]: found 'lb.example.org', expected a network such as 192.0.2.0/24 or 2001:db8::/32",
      ],
    ],
    [
      'an inbound listener with a route, which would take mail for anywhere',
      withListeners(`${mx}, route: disk`),
      [
        'postern.yaml:3:49: listeners[0].route: found a route on an inbound listener, expected none: its mail goes where `domains` says',
      ],
    ],
    [
      'two of one name',
      withListeners(mx, 'name: mx, address: 127.0.0.1, port: 2526'),
      ["postern.yaml:4:13: listeners[1].name: found 'mx', expected another name: listeners[0] has this one"],
    ],
    [
      'two on one socket',
      withListeners(mx, 'name: b, address: 127.0.0.1, port: 2525'),
      [
        'postern.yaml:4:42: listeners[1].port: found 2525, expected another port: listeners[0] listens on 127.0.0.1 with this one',
      ],
    ],
    [
      'one inside a wildcard of the same port',
      withListeners(mx, 'name: b, address: 0.0.0.0, port: 2525'),
      [
        'postern.yaml:4:40: listeners[1].port: found 2525, expected another port: listeners[0] listens on 127.0.0.1 with this one',
      ],
    ],
    [
      'one on the socket of the admin HTTP',
      withListeners('name: mx, address: 127.0.0.1, port: 2580'),
      [
        'postern.yaml:3:43: listeners[0].port: found 2580, expected another port: admin listens on 127.0.0.1 with this one',
      ],
    ],
    [
      'none at all',
      smallest.replace(/listeners:\n.*\n/, 'listeners: []\n'),
      ['postern.yaml:2:12: listeners: found an empty list, expected a list of 1 to 64 listeners'],
    ],
  ])('refuses %s', (_, yaml, faults) => {
    expect(faultsOf(yaml, {}, usersFile)).toEqual(faults);
  });

  test('accepts IPv4 and IPv6 on one port', () => {
    const yaml = withListeners('name: a, address: 0.0.0.0, port: 25', "name: b, address: '::', port: 25");
    expect(load(yaml).listeners).toHaveLength(2);
  });

  test('accepts a whole submission listener', () => {
    const yaml = withListeners(`${submission}, route: disk, tls: implicit`) + withTls + users;
    expect(load(yaml, {}, usersFile).listeners[0]).toMatchObject({
      role: 'submission',
      tls: 'implicit',
      route: 'disk',
    });
  });
});

function withNames(names: string): string {
  return smallest.replace('[example.test]', names);
}

test('C-131: a domain that takes no mail needs no route', () => {
  const config = load(smallest.replace('route: disk', 'recipients: none'));
  expect(config.domains).toMatchObject([{ recipients: { kind: 'none' }, route: '' }]);
});

describe('domains', () => {
  test.each<[string, string, string[]]>([
    [
      'a route that is not there',
      smallest.replace('route: disk', 'route: dsk'),
      ["postern.yaml:5:37: domains[0].route: found 'dsk', expected one of the routes disk"],
    ],
    [
      'no route, where mail is taken',
      smallest.replace(', route: disk', ''),
      [
        'postern.yaml:5:5: domains[0].route: found nothing, expected a route for its mail: one of the routes disk',
      ],
    ],
    [
      'a route named like something every object has',
      smallest.replace('route: disk', 'route: constructor'),
      ["postern.yaml:5:37: domains[0].route: found 'constructor', expected one of the routes disk"],
    ],
    [
      'a route where there is none',
      smallest.replace(/routes:[^]*/, ''),
      [
        "postern.yaml:5:37: domains[0].route: found 'disk', expected a key under `routes`, and there is none yet",
      ],
    ],
    [
      'a domain given twice, in other letters',
      withNames('[example.test, Example.TEST]'),
      [
        "postern.yaml:5:29: domains[0].names[1]: found 'Example.TEST', expected each domain once: domains[0].names[0] has this one",
      ],
    ],
    [
      'a domain given twice, once as its A-label',
      withNames('[bücher.example, xn--bcher-kva.example]'),
      [
        "postern.yaml:5:31: domains[0].names[1]: found 'xn--bcher-kva.example', expected each domain once: domains[0].names[0] has this one",
      ],
    ],
    [
      'promise 7: every domain there is',
      withNames("['*']"),
      [
        "postern.yaml:5:15: domains[0].names[0]: found '*', expected domains of your own: this takes mail for domains that others own and makes an open relay",
      ],
    ],
    [
      'promise 7: every domain below a public zone',
      withNames("['*.com']"),
      [
        "postern.yaml:5:15: domains[0].names[0]: found '*.com', expected domains of your own: this takes mail for domains that others own and makes an open relay",
      ],
    ],
    [
      'no domain',
      withNames('[]'),
      ['postern.yaml:5:14: domains[0].names: found an empty list, expected a list of 1 to 100000 domains'],
    ],
    [
      'no name',
      withNames('[exa mple.org]'),
      [
        "postern.yaml:5:15: domains[0].names[0]: found 'exa mple.org', expected a domain such as example.org or *.example.org",
      ],
    ],
    [
      'a recipient of another domain',
      smallest.replace('route: disk', 'recipients: [joe@example.org], route: disk'),
      [
        "postern.yaml:5:43: domains[0].recipients[0]: found 'joe@example.org', expected an address in example.test",
      ],
    ],
  ])('refuses %s', (_, yaml, faults) => {
    expect(faultsOf(yaml)).toEqual(faults);
  });

  test('accepts recipients of a subdomain under a wildcard', () => {
    const yaml = smallest
      .replace('[example.test]', "['*.example.test']")
      .replace('route: disk', 'recipients: [joe@a.example.test], route: disk');
    expect(load(yaml).domains[0]?.recipients).toEqual({ kind: 'list', addresses: ['joe@a.example.test'] });
  });

  test('tells the lines of a recipients file', () => {
    const yaml = smallest.replace('route: disk', 'recipients: { file: people.txt }, route: disk');
    expect(faultsOf(yaml, {}, { 'people.txt': 'joe\n\njoe smith\njoe@example.org\n' })).toEqual([
      "people.txt:3:1: domains[0].recipients.file: found 'joe smith', expected an address or the part before its @",
      "people.txt:4:1: domains[0].recipients.file: found 'joe@example.org', expected an address in example.test",
    ]);
  });
});

describe('routes', () => {
  test.each<[string, string, string]>([
    [
      'a maildir with company',
      "office: { to: ['maildir:x', smtp://10.0.0.5] }",
      '8:17: routes.office.to: found a maildir among other next hops, expected it alone',
    ],
    [
      'TLS to a maildir',
      "office: { to: 'maildir:x', tls: required }",
      "8:35: routes.office.tls: found 'required', expected off: a maildir has no TLS",
    ],
    [
      'waits longer than the age at which a message fails',
      'office: { to: smtp://10.0.0.5, retry: { max: 2h, expire: 1h } }',
      '8:48: routes.office.retry.max: found a longest wait longer than `expire`, expected at most as long',
    ],
    [
      'its own listener',
      'office: { to: smtp://127.0.0.1:2525 }',
      "8:17: routes.office.to: found 'smtp://127.0.0.1:2525', expected a next hop behind Postern: this is its own listener, mail would loop",
    ],
    [
      'its own listener by name, in a list',
      'office: { to: [smtp://10.0.0.5, smtp://localhost:2525] }',
      "8:35: routes.office.to[1]: found 'smtp://localhost:2525', expected a next hop behind Postern: this is its own listener, mail would loop",
    ],
    [
      'its own host name with a port of its own',
      'office: { to: smtp://MX.example.test:2525 }',
      "8:17: routes.office.to: found 'smtp://MX.example.test:2525', expected a next hop behind Postern: this is its own listener, mail would loop",
    ],
  ])('refuse %s', (_, route, fault) => {
    expect(faultsOf(`${smallest}  ${route}\n`)).toEqual([`postern.yaml:${fault}`]);
  });

  const everywhere = smallest.replace('127.0.0.1', '0.0.0.0');
  const ownAddresses = Object.values(networkInterfaces()).flatMap((all) => all ?? []);

  test.each([
    '127.9.9.9',
    '0.0.0.0',
    '[0:0::1]',
    ...ownAddresses
      .filter(({ family, scopeid }) => family === 'IPv4' || scopeid === 0)
      .map(({ address }) => (address.includes(':') ? `[${address}]` : address)),
  ])('refuse %s, an address of this machine, where a listener has all of them', (host) => {
    expect(faultsOf(`${everywhere}  office: { to: 'smtp://${host}:2525' }\n`)).toEqual([
      expect.stringContaining('this is its own listener, mail would loop'),
    ]);
  });

  test.each(['smtp://192.0.2.1:2525', 'smtp://mx.example.test:2526', 'smtp://mx2.example.test:2525'])(
    'take %s, which may be another',
    (to) => {
      expect(() => load(`${everywhere}  office: { to: '${to}' }\n`)).not.toThrow();
    },
  );
});

describe('notifications', () => {
  test('go by a route that is there', () => {
    expect(faultsOf(`${smallest}notifications: { route: out }\n`)).toEqual([
      "postern.yaml:8:25: notifications.route: found 'out', expected one of the routes disk",
    ]);
  });
});

describe('admin', () => {
  test('needs a token of the operator outside loopback', () => {
    const open = `${smallest}admin: { address: 0.0.0.0 }\n`;
    expect(faultsOf(open)).toEqual([
      "postern.yaml:8:19: admin.address: found '0.0.0.0', expected a loopback address such as 127.0.0.1, or an `admin.token` of your own: others can reach this one",
    ]);
    expect(load(open, { POSTERN_ADMIN_TOKEN: '0123456789abcdef' }).admin.token).toBe('0123456789abcdef');
  });

  test.each(['127.0.0.1', '127.1.2.3', "'::1'"])('needs none on %s', (address) => {
    expect(load(`${smallest}admin: { address: ${address} }\n`).admin.token).toBeUndefined();
  });
});

describe('dnsbl', () => {
  const lists = 'lists: [{ zone: a.example, weight: 2 }, { zone: b.example, weight: -3 }]';

  test.each<[string, string, string]>([
    [
      'a threshold that no client can reach',
      'reject: 3',
      '8:102: policy.dnsbl.reject: found 3, expected at most 2: all lists together weigh no more',
    ],
    [
      'no threshold',
      'reject: 0',
      '8:102: policy.dnsbl.reject: found 0 for `reject` and `defer`, expected a threshold: no list would do anything',
    ],
    [
      'deferring where it already refuses',
      'reject: 1, defer: 2',
      '8:112: policy.dnsbl.defer: found 2, expected less than reject (1), else it never comes into play',
    ],
    [
      'a least time beyond the longest',
      'minTtl: 2h',
      '8:102: policy.dnsbl.minTtl: found a shortest time longer than `maxTtl`, expected at most as long',
    ],
  ])('refuses %s', (_, settings, fault) => {
    expect(faultsOf(`${smallest}policy: { dnsbl: { ${lists}, ${settings} } }\n`)).toEqual([
      `postern.yaml:${fault}`,
    ]);
  });

  test('fills in the rest', () => {
    const config = load(`${smallest}policy: { dnsbl: { lists: [{ zone: ZEN.Example }] } }\n`);
    expect(config.policy.dnsbl).toEqual({
      lists: [{ zone: 'zen.example', weight: 1, replies: ['127.0.0.[2..254]'] }],
      reject: 1,
      defer: 0,
      timeoutMs: 3_000,
      cacheEntries: 10_000,
      minTtlMs: 60_000,
      maxTtlMs: 3_600_000,
      negativeTtlMs: 300_000,
    });
  });
});
