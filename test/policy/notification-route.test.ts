import { describe, expect, it } from 'vitest';

import { NotificationRoute, type NotificationRouteConfig } from '../../src/policy/notification-route.js';

const config: NotificationRouteConfig = {
  hostname: 'mx1.ok.test',
  postmaster: undefined,
  listeners: [
    { role: 'inbound', route: undefined },
    { role: 'submission', route: 'out' },
    { role: 'submission', route: 'other' },
  ],
  domains: [
    { names: ['ok.test'], recipients: { kind: 'list', addresses: ['joe', 'o b'] }, route: 'office' },
    { names: ['*.wild.test'], recipients: { kind: 'any' }, route: 'wild' },
  ],
  routes: { office: { hops: [{ kind: 'smtp' }] }, out: { hops: [{ kind: 'mx' }] } },
  notifications: { route: undefined },
};

describe('the destination of a notification', () => {
  const routes = new NotificationRoute(config);

  it.each([
    ['joe@ok.test', 'office', 'a sender of ours is reached like any recipient'],
    ['Joe@OK.test', 'office', 'in any case'],
    ['"joe"@ok.test', 'office', 'quoted: the same mailbox'],
    ['"o\\ b"@ok.test', 'office', 'and with its escapes'],
    ['v@a.wild.test', 'wild', 'by a wildcard'],
    ['v@ext.test', 'out/ext.test', 'a stranger by the way of our users, the first submission listener'],
    ['"a@b"@ext.test', 'out/ext.test', 'the domain is behind the last @'],
    ['v@bücher.test', 'out/xn--bcher-kva.test', 'as A-labels'],
  ])('%s → %s: %s', (address, destination) => {
    expect(routes.destinationForSender(address)).toBe(destination);
  });

  it.each([
    ['', 'nobody is told of the null reverse-path (RFC 5321 §6.1)'],
    ['nobody@ok.test', 'a recipient that we would refuse: the address was made up'],
    ['v%ext.test@ok.test', 'one that a next hop might route by'],
    ['v@[192.0.2.9]', 'a literal: it would make us connect where a client says'],
    ['joe', 'no domain'],
  ])('<%s> cannot be told: %s', (address) => {
    expect(routes.destinationForSender(address)).toBeUndefined();
  });

  it('is `notifications.route` where that is set, for strangers alone', () => {
    const named = new NotificationRoute({ ...config, notifications: { route: 'bounces' } });
    expect(named.destinationForSender('v@ext.test')).toBe('bounces');
    expect(named.destinationForSender('joe@ok.test')).toBe('office');
  });

  it('is none for strangers where nothing goes out', () => {
    const inbound = new NotificationRoute({ ...config, listeners: config.listeners.slice(0, 1) });
    expect(inbound.destinationForSender('v@ext.test')).toBeUndefined();
    expect(inbound.destinationForSender('joe@ok.test')).toBe('office');
  });
});

describe('the postmaster', () => {
  it.each<[string | undefined, object, string]>([
    [undefined, { address: 'postmaster@ok.test', route: 'office' }, 'of our first domain'],
    [
      'me@ext.test',
      { address: 'me@ext.test', route: 'out/ext.test' },
      'elsewhere: as a notification goes out',
    ],
    ['nobody@ok.test', { address: 'nobody@ok.test', route: 'office' }, 'as configured, listed or not'],
  ])('%s → %j: %s', (postmaster, expected) => {
    expect(new NotificationRoute({ ...config, postmaster }).postmaster).toEqual(expected);
  });

  it('is reached at our own domain where nothing goes out to the configured one', () => {
    const inbound = { ...config, listeners: [], postmaster: 'me@ext.test' };
    expect(new NotificationRoute(inbound).postmaster).toEqual({
      address: 'postmaster@ok.test',
      route: 'office',
    });
  });

  it('is nobody where there are no domains', () => {
    const none = { ...config, listeners: [], domains: [] };
    expect(new NotificationRoute(none).postmaster).toBeUndefined();
  });
});
