/** What one route may hold, and what of it goes together. */
import { describe, expect, test } from 'vitest';
import type { RouteConfig } from '../../src/config/config.js';
import { missingLabel } from '../../src/relay/missing-route.js';
import { faultsOf, load, smallest } from './harness.js';

function routeOf(text: string): RouteConfig | undefined {
  return load(`${smallest}  office: { ${text} }\n`).routes['office'];
}

const a = { kind: 'smtp', host: '10.0.0.5', port: 25 };
const b = { kind: 'smtp', host: '10.0.0.6', port: 26 };

describe('next hops', () => {
  test.each<[string, string, object[]]>([
    ['one', 'to: smtp://10.0.0.5', [{ ...a, priority: 0, weight: 1 }]],
    [
      'texts are in order of preference',
      'to: [smtp://10.0.0.5, smtp://10.0.0.6:26]',
      [
        { ...a, priority: 0, weight: 1 },
        { ...b, priority: 1, weight: 1 },
      ],
    ],
    [
      'maps share the mail',
      'to: [{ hop: smtp://10.0.0.5 }, { hop: smtp://10.0.0.6:26 }]',
      [
        { ...a, priority: 0, weight: 1 },
        { ...b, priority: 0, weight: 1 },
      ],
    ],
    [
      'by weight, in priorities',
      'to: [{ hop: smtp://10.0.0.5, weight: 1000, priority: 100 }, { hop: smtp://10.0.0.6:26, weight: 3 }]',
      [
        { ...a, priority: 100, weight: 1000 },
        { ...b, priority: 0, weight: 3 },
      ],
    ],
    ['mx', 'to: mx', [{ kind: 'mx', port: 25 }]],
    ['mx on another port, alone in a list', "to: ['mx:2525']", [{ kind: 'mx', port: 2525 }]],
  ])('%s', (_, text, hops) => {
    expect(routeOf(text)?.hops).toEqual(hops);
  });

  test.each<[string, string, string]>([
    [
      'mx with company',
      'to: [smtp://10.0.0.5, mx]',
      '8:17: routes.office.to: found mx among other next hops, expected it alone',
    ],
    [
      'texts and maps in one list',
      'to: [{ hop: smtp://10.0.0.5 }, smtp://10.0.0.6]',
      '8:44: routes.office.to[1]: found texts and maps in one list, expected all next hops as texts or all as `{ hop, weight, priority }`',
    ],
    [
      'mx in a map',
      'to: [{ hop: mx }]',
      "8:25: routes.office.to[0].hop: found 'mx', expected smtp://host:port or lmtp://host:port",
    ],
    [
      'a weight of nothing',
      'to: [{ hop: smtp://10.0.0.5, weight: 0 }]',
      '8:50: routes.office.to[0].weight: found 0, expected a whole number from 1 to 1000',
    ],
    [
      'a priority beyond 100',
      'to: [{ hop: smtp://10.0.0.5, priority: 101 }]',
      '8:52: routes.office.to[0].priority: found 101, expected a whole number from 0 to 100',
    ],
    [
      'its own listener in a map',
      'to: [{ hop: smtp://127.0.0.1:2525 }]',
      "8:25: routes.office.to[0].hop: found 'smtp://127.0.0.1:2525', expected a next hop behind Postern: this is its own listener, mail would loop",
    ],
    [
      'a hop that is listed twice, whatever its case and default port',
      'to: [smtp://mail.example, smtp://10.0.0.5, smtp://MAIL.example:25]',
      '8:56: routes.office.to[2]: found the next hop of to[0] again, expected each once; a larger share of the mail is a `weight`',
    ],
    [
      'a hop that is listed twice in maps',
      'to: [{ hop: smtp://10.0.0.5, weight: 2 }, { hop: smtp://10.0.0.5, priority: 1 }]',
      '8:55: routes.office.to[1]: found the next hop of to[0] again, expected each once; a larger share of the mail is a `weight`',
    ],
    [
      'a misspelt key of a map',
      'to: [{ hop: smtp://10.0.0.5, wieght: 2 }]',
      "8:42: routes.office.to[0].wieght: found an unknown key (did you mean 'weight'?), expected one of hop, weight, priority",
    ],
  ])('%s is refused', (_, text, fault) => {
    expect(faultsOf(`${smallest}  office: { ${text} }\n`)).toEqual([`postern.yaml:${fault}`]);
  });

  test.each(['a/b', '/a', 'a/'])(
    'a route cannot be called %s: a destination ends its name at the slash',
    (name) => {
      expect(faultsOf(`${smallest}  ${name}: { to: mx }\n`)).toEqual([
        `postern.yaml:8:3: routes.${name}: found '${name}', expected a name of up to 32 letters, digits, - and _`,
      ]);
    },
  );

  test('a route cannot be called as the label is under which mail of routes counts that there are no more', () => {
    expect(faultsOf(`${smallest}  ${missingLabel}: { to: mx }\n`)).toEqual([
      expect.stringContaining('expected a name of up to 32 letters'),
    ]);
  });
});

const digits = '0123456789abcdef'.repeat(4);

describe('TLS', () => {
  test('is opportunistic where nothing is said, off for a maildir', () => {
    expect(routeOf('to: mx')).toMatchObject({ tls: 'opportunistic', tlsCa: undefined, tlsFingerprints: [] });
    expect(routeOf('to: maildir:x')).toMatchObject({ tls: 'off' });
  });

  test('takes fingerprints as openssl prints them, each once', () => {
    const colons = digits.toUpperCase().replaceAll(/(..)(?!$)/g, '$1:');
    const route = routeOf(`to: smtp://10.0.0.5, tls: verified, tlsFingerprints: ['${colons}', '${digits}']`);
    expect(route?.tlsFingerprints).toEqual([digits]);
  });

  test.each<[string, string, string[]]>([
    [
      'authorities without a check',
      'to: smtp://10.0.0.5, tls: required, tlsCa: ca.pem',
      ["8:49: routes.office.tlsCa: found it with tls 'required', expected `tls: verified`"],
    ],
    [
      'fingerprints without a check',
      `to: smtp://10.0.0.5, tlsFingerprints: ['${digits}']`,
      ["8:34: routes.office.tlsFingerprints: found it with tls 'opportunistic', expected `tls: verified`"],
    ],
    [
      'both',
      `to: smtp://10.0.0.5, tls: verified, tlsCa: ca.pem, tlsFingerprints: ['${digits}']`,
      ['8:49: routes.office.tlsCa: found it beside `tlsFingerprints`, expected one of the two'],
    ],
    [
      'fingerprints for every domain',
      `to: mx, tls: verified, tlsFingerprints: ['${digits}']`,
      ['8:36: routes.office.tlsFingerprints: found fingerprints with mx, expected none'],
    ],
    [
      'a fingerprint of another kind',
      "to: smtp://10.0.0.5, tls: verified, tlsFingerprints: ['ab:cd']",
      [
        "8:67: routes.office.tlsFingerprints[0]: found 'ab:cd', expected a SHA-256 fingerprint: 64 hexadecimal",
      ],
    ],
  ])('refuses %s', (_, text, faults) => {
    const files = { 'ca.pem': '' };
    const told = faultsOf(`${smallest}  office: { ${text} }\n`, {}, files).filter(
      (fault) => !fault.includes('no usable certificate'),
    );
    expect(told).toEqual(faults.map((fault) => expect.stringContaining(`postern.yaml:${fault}`)));
  });
});

describe('a login at the next hop', () => {
  test('is a name and a password', () => {
    const route = routeOf('to: smtp://10.0.0.5, tls: required, auth: { user: joe, password: "p w" }');
    expect(route?.auth).toEqual({ user: 'joe', password: 'p w' });
  });

  test.each<[string, string, string]>([
    [
      'in the clear, by default',
      'to: smtp://10.0.0.5, auth: { user: u, password: p }',
      "8:34: routes.office.auth: found a login with tls 'opportunistic', expected `tls: required` or `tls: verified`: a password is never sent in the clear",
    ],
    [
      'in the clear',
      'to: smtp://10.0.0.5, tls: off, auth: { user: u, password: p }',
      "8:44: routes.office.auth: found a login with tls 'off', expected `tls: required` or `tls: verified`: a password is never sent in the clear",
    ],
    [
      'at every domain',
      'to: mx, tls: required, auth: { user: u, password: p }',
      '8:36: routes.office.auth: found a login with mx, expected none: the password would go to every domain',
    ],
    [
      'at a maildir',
      'to: maildir:x, auth: { user: u, password: p }',
      '8:28: routes.office.auth: found a login at a maildir, expected none',
    ],
    [
      'without a password',
      'to: smtp://10.0.0.5, tls: required, auth: { user: u }',
      '8:55: routes.office.auth: found neither, expected either `password` or `passwordFile`',
    ],
    [
      'with two',
      'to: smtp://10.0.0.5, tls: required, auth: { user: u, password: p, passwordFile: p.txt }',
      '8:55: routes.office.auth: found both, expected either `password` or `passwordFile`',
    ],
  ])('%s is refused', (_, text, fault) => {
    expect(faultsOf(`${smallest}  office: { ${text} }\n`, {}, { 'p.txt': 'p' })).toEqual([
      `postern.yaml:${fault}`,
    ]);
  });

  test.each([
    ['auth: user:geheim', 'auth: found something else, expected a map of user, password, passwordFile'],
    [
      'auth: { user: u, password: "geheim\\n" }',
      'auth.password: found something else, expected 1 to 255 octets',
    ],
    [
      'auth: { user: u, password: [geheim] }',
      'auth.password: found something else, expected 1 to 255 octets',
    ],
    ['auth: { user: u, password: 4711 }', 'auth.password: found something else, expected 1 to 255 octets'],
  ])('that is wrong is not repeated: %s', (text, fault) => {
    const [told = '', ...more] = faultsOf(
      `${smallest}  office: { to: smtp://10.0.0.5, tls: required, ${text} }\n`,
    );
    expect(told).toContain(`routes.office.${fault}`);
    expect(told).not.toMatch(/geheim|4711/);
    expect(more).toEqual([]);
  });
});

describe('waits and rates', () => {
  test('are in milliseconds, those of the RFC where nothing is said', () => {
    expect(routeOf('to: mx')).toMatchObject({ timeouts: {}, messagesPerSecond: 0 });
    expect(
      routeOf('to: mx, timeouts: { connect: 500ms, greeting: 1m, command: 2m, data: 3m, end: 4m }'),
    ).toMatchObject({
      timeouts: { connect: 500, greeting: 60_000, command: 120_000, data: 180_000, end: 240_000 },
    });
    expect(routeOf('to: mx, messagesPerSecond: 0.5')).toMatchObject({ messagesPerSecond: 0.5 });
  });

  test('survive the way to a worker, which is JSON', () => {
    const config = load(`${smallest}  office: { to: mx }\n`);
    // What is undefined is left out there, and reads the same.
    expect(JSON.parse(JSON.stringify(config))).toEqual(config);
  });

  test.each([
    ['to: maildir:x, timeouts: { data: 1m }', 'timeouts.data: found a wait for a maildir, expected none'],
    ['to: mx, timeouts: { data: 1ms }', "timeouts.data: found '1ms', expected a duration from 100ms to 1d"],
    ['to: mx, messagesPerSecond: -1', 'messagesPerSecond: found -1, expected a number from 0 to 1000000'],
    ['to: mx, messagesPerSecond: .inf', 'messagesPerSecond: found Infinity, expected a number from 0 to'],
  ])('%s is refused', (text, fault) => {
    expect(faultsOf(`${smallest}  office: { ${text} }\n`)).toEqual([
      expect.stringContaining(`routes.office.${fault}`),
    ]);
  });
});
