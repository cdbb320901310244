/** The attributes of XCLIENT and XFORWARD: what they may hold, and what is refused. */
import { describe, expect, test } from 'vitest';
import { parseXclient, parseXforward } from '../../src/protocol/client-attributes.js';
import { decodeXtext } from '../../src/protocol/xtext.js';

describe('XCLIENT', () => {
  test.each<[string, object]>([
    ['ADDR=192.0.2.1', { addr: '192.0.2.1' }],
    ['addr=192.0.2.1 Name=a.test', { addr: '192.0.2.1', name: 'a.test' }],
    ['  ADDR=192.0.2.1   PORT=40000 ', { addr: '192.0.2.1', port: 40_000 }],
    ['ADDR=IPV6:2001:DB8:0::1', { addr: '2001:db8::1' }],
    ['ADDR=ipv6:::1', { addr: '::1' }],
    ['ADDR=IPV6:::ffff:192.0.2.1', { addr: '192.0.2.1' }],
    ['NAME=[UNAVAILABLE] REVERSE_NAME=[TempUnavail]', { name: null, reverseName: null }],
    ['ADDR=[unavailable] PORT=[UNAVAILABLE]', { addr: null, port: null }],
    ['PROTO=esmtp HELO=[192.0.2.1]', { proto: 'ESMTP', helo: '[192.0.2.1]' }],
    ['LOGIN=joe+2Bx@example.org', { login: 'joe+x@example.org' }],
    ['LOGIN=J+C3+BCrgen+20M', { login: 'Jürgen M' }],
    ['LOGIN=[UNAVAILABLE]', { login: null }],
    ['DESTADDR=198.51.100.2 DESTPORT=25', { destAddr: '198.51.100.2', destPort: 25 }],
    [`NAME=${'x'.repeat(255)}`, { name: 'x'.repeat(255) }],
  ])('%s', (argument, attributes) => {
    expect(parseXclient(argument)).toEqual(attributes);
  });
});

describe('A-113: XCLIENT takes no', () => {
  test.each([
    ['nothing', ''],
    ['spaces', '   '],
    ['word without a value', 'ADDR'],
    ['empty value', 'ADDR='],
    ['value without a name', '=192.0.2.1'],
    ['unknown attribute', 'ADDRESS=192.0.2.1'],
    ['attribute of XFORWARD', 'IDENT=1'],
    ['attribute of every object', '__PROTO__=x'],
    ['attribute twice', 'ADDR=192.0.2.1 ADDR=192.0.2.2'],
    ['IPv6 without its prefix', 'ADDR=2001:db8::1'],
    ['IPv4 with the prefix', 'ADDR=IPV6:192.0.2.1'],
    ['brackets around an address', 'ADDR=[192.0.2.1]'],
    ['zone', 'ADDR=IPV6:fe80::1%25eth0'],
    ['leading zeros', 'ADDR=192.0.2.01'],
    ['host name as address', 'ADDR=localhost'],
    ['port above 65535', 'PORT=65536'],
    ['port in another base', 'PORT=0x19'],
    ['port with leading zeros', 'DESTPORT=025'],
    ['other protocol', 'PROTO=QMTP'],
    ['unavailable protocol', 'PROTO=[UNAVAILABLE]'],
    ['256 octets', `HELO=${'x'.repeat(256)}`],
    ['line end', 'NAME=a+0D+0Ab'],
    ['NUL', 'HELO=a+00'],
    ['control character in a login', 'LOGIN=a+1Bb'],
    ['C1 control character in a login', 'LOGIN=a+C2+85'],
    ['8-bit octet as it is', 'LOGIN=\xff'],
    ['login that is no UTF-8', 'LOGIN=+FF'],
    ['8-bit octet in a name', 'NAME=+C3+BC'],
    ['white space in a name', 'NAME=a+20b'],
    ['end of a comment', 'HELO=a)'],
    ['address in brackets', 'HELO=<a'],
    ['half of a hexchar', 'LOGIN=a+2'],
    ['lower-case hexchar', 'LOGIN=a+2b'],
    ['tab between', 'ADDR=192.0.2.1\tPORT=1'],
    ['twice encoded line end', 'NAME=a+2B0Db c'],
  ])('%s', (_, argument) => {
    expect(parseXclient(argument)).toBeUndefined();
  });
});

test('A-113: a value is decoded once', () => {
  expect(parseXclient('LOGIN=a+2B41')).toEqual({ login: 'a+41' });
  expect(decodeXtext('+2B41')).toBe('+41');
  expect(decodeXtext('+4')).toBeUndefined();
});

describe('XFORWARD', () => {
  test.each<[string, object | undefined]>([
    ['NAME=a.test ADDR=192.0.2.1 PORT=1 PROTO=ESMTP', { name: 'a.test', addr: '192.0.2.1', port: 1, proto: 'ESMTP' }],
    ['HELO=h IDENT=ABC123 SOURCE=local', { helo: 'h', ident: 'ABC123', source: 'LOCAL' }],
    ['ADDR=uucp!host', { addr: 'uucp!host' }],
    ['PROTO=X.400 SOURCE=REMOTE', { proto: 'X.400', source: 'REMOTE' }],
    ['NAME=[UNAVAILABLE] SOURCE=[UNAVAILABLE]', { name: null, source: null }],
    [`PROTO=${'x'.repeat(64)}`, { proto: 'x'.repeat(64) }],
    [`PROTO=${'x'.repeat(65)}`, undefined],
    ['SOURCE=ELSEWHERE', undefined],
    ['LOGIN=joe', undefined],
    ['ADDR=a+0Ab', undefined],
    ['IDENT=a+22', undefined],
    ['', undefined],
  ])('%s', (argument, attributes) => {
    expect(parseXforward(argument)).toEqual(attributes);
  }); // prettier-ignore
});
