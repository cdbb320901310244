import { describe, expect, test } from 'vitest';
import { NetworkSet, ipv6Groups, networkKeys, normalizeAddress, parseCidr } from '../../src/base/networks.js';

describe('addresses', () => {
  test.each([
    ['::ffff:192.0.2.1', '192.0.2.1', 'a dual-stack socket shows IPv4 clients mapped'],
    ['::FFFF:192.0.2.1', '192.0.2.1', 'in any case'],
    ['192.0.2.1', '192.0.2.1', 'plain IPv4 stays'],
    ['fe80::1%eth0', 'fe80::1', 'a zone is of this machine only'],
    ['2001:DB8::1', '2001:db8::1', 'one case'],
  ])('%s is %s: %s', (given, normalized) => {
    expect(normalizeAddress(given)).toBe(normalized);
  });

  test.each([
    ['::', [0, 0, 0, 0, 0, 0, 0, 0]],
    ['::1', [0, 0, 0, 0, 0, 0, 0, 1]],
    ['2001:db8::', [0x2001, 0xdb8, 0, 0, 0, 0, 0, 0]],
    ['1:2:3:4:5:6:7:8', [1, 2, 3, 4, 5, 6, 7, 8]],
    ['64:ff9b::192.0.2.33', [0x64, 0xff9b, 0, 0, 0, 0, 0xc000, 0x221]],
  ])('the groups of %s', (address, groups) => {
    expect(ipv6Groups(address)).toEqual(groups);
  });

  test('what is no IPv6 address has no groups', () => {
    expect(ipv6Groups('192.0.2.1')).toBeUndefined();
    expect(ipv6Groups('1:2:3')).toBeUndefined();
  });

  test('limits count an IPv4 host and its /24, an IPv6 /64 and its /48', () => {
    expect(networkKeys('192.0.2.7')).toEqual({ host: '192.0.2.7', neighbourhood: '192.0.2.0/24' });
    expect(networkKeys('2001:db8:1:2::7')).toEqual({
      host: '2001:db8:1:2::/64',
      neighbourhood: '2001:db8:1::/48',
    });
  });
});

describe('networks', () => {
  test.each([
    ['10.0.0.0/8', { address: '10.0.0.0', prefix: 8, family: 'ipv4' }],
    ['::1', { address: '::1', prefix: 128, family: 'ipv6' }],
    ['10.0.0.0/33', undefined],
    ['10.0.0/8', undefined],
    ['::1/129', undefined],
    ['10.0.0.0/', undefined],
    ['10.0.0.0/-1', undefined],
    ['', undefined],
  ])('%s', (text, parsed) => {
    expect(parseCidr(text)).toEqual(parsed);
  });

  test('a set knows its members of both families', () => {
    const set = new NetworkSet(['127.0.0.0/8', '2001:db8::/32']);
    expect(set.has('127.3.4.5')).toBe(true);
    expect(set.has('128.0.0.1')).toBe(false);
    expect(set.has('2001:db8:ffff::1')).toBe(true);
    expect(set.has('2001:db9::1')).toBe(false);
    expect(new NetworkSet([]).has('127.0.0.1')).toBe(false);
  });
});
