import { hostname } from 'node:os';

import { describe, expect, it } from 'vitest';

import { acceptsOrigin, HostCheck, hostOf } from '../../../src/primary/admin/origin.js';

describe('the host of an authority', () => {
  it.each([
    ['localhost', 'localhost'],
    ['LocalHost:80', 'localhost'],
    ['[::1]:2580', '::1'],
    ['[::ffff:127.0.0.1]', '::ffff:127.0.0.1'],
    ['127.0.0.1:2580', '127.0.0.1'],
    ['a_b.example:1', 'a_b.example'],
    ['::1', undefined],
    ['host:port', undefined],
    ['user@localhost', undefined],
    ['localhost/', undefined],
    ['', undefined],
  ])('%j → %j', (authority, host) => {
    expect(hostOf(authority)).toBe(host);
  });
});

describe('beyond loopback', () => {
  const check = new HostCheck({ address: '0.0.0.0', names: ['mx1.example.org'] });

  it('any literal address will do: rebinding needs a name, and probes come by address', () => {
    expect(check.acceptsHost('10.1.2.3:2580')).toBe(true);
    expect(check.acceptsHost('[2001:db8::1]:2580')).toBe(true);
  });

  it('the configured and the system’s host name are ours, other names are not', () => {
    expect(check.acceptsHost('MX1.example.org')).toBe(true);
    expect(check.acceptsHost(hostname())).toBe(true);
    expect(check.acceptsHost('evil.example')).toBe(false);
  });
});

describe('bound to loopback in another spelling', () => {
  it.each(['::1', '127.0.0.2', '::ffff:127.0.0.1'])('%s takes loopback’s own and no other address', (address) => {
    const check = new HostCheck({ address, names: ['mx1.example.org'] });
    expect(check.acceptsHost('localhost:1')).toBe(true);
    expect(check.acceptsHost('[::1]')).toBe(true);
    expect(check.acceptsHost('10.1.2.3')).toBe(false);
    expect(check.acceptsHost('mx1.example.org')).toBe(false);
  }); // prettier-ignore
});

describe('the Origin header', () => {
  it('is refused when there is no Host to compare it with', () => {
    expect(acceptsOrigin('http://localhost', undefined)).toBe(false);
    expect(acceptsOrigin(undefined, undefined)).toBe(true);
  });
});
