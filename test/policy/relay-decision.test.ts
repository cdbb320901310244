import { describe, expect, it } from 'vitest';

import {
  canonicalDomain,
  RelayDecision,
  type RelayConfig,
  type RelayFacts,
} from '../../src/policy/relay-decision.js';
import type { Mailbox } from '../../src/protocol/types.js';

const config: RelayConfig = {
  hostname: 'mx1.ok.test',
  postmaster: undefined,
  domains: [
    { names: ['ok.test'], recipients: { kind: 'any' }, route: 'office' },
    { names: ['*.wild.test', 'sub.own.wild.test'], recipients: { kind: 'any' }, route: 'wild' },
    {
      names: ['list.test', 'bücher.test'],
      recipients: { kind: 'list', addresses: ['joe', 'ann@list.test', 'eve@xn--bcher-kva.test'] },
      route: 'listed',
    },
    { names: ['gone.test'], recipients: { kind: 'none' }, route: 'office' },
    { names: ['[192.0.2.1]'], recipients: { kind: 'any' }, route: 'literal' },
  ],
  routes: {},
};

const decision = new RelayDecision(config);
const inbound: RelayFacts = { role: 'inbound', user: '', listenerRoute: undefined };
const submission: RelayFacts = { role: 'submission', user: 'alice', listenerRoute: 'out' };

/** As the protocol hands it over: the domain in lower case, the local part unquoted. */
function mailbox(localPart: string, domain: string): Mailbox {
  return { address: `${localPart}@${domain}`, localPart, domain: domain.toLowerCase() };
}

/** What remains of each recipient form of when the protocol's path parser has let it through. */
const vectors: [form: string, localPart: string, domain: string, refusal: string][] = [
  ['<v@ext.test>', 'v', 'ext.test', 'relay-denied'],
  ['<v%ext.test@ok.test>', 'v%ext.test', 'ok.test', 'bad-local-part'],
  ['<v%ext.test@[ip]>', 'v%ext.test', '[192.0.2.1]', 'bad-local-part'],
  ['<v%ext.test@[ip]>, an ip that is not ours', 'v%ext.test', '[127.0.0.1]', 'relay-denied'],
  ['<"v@ext.test">', 'v@ext.test', '', 'relay-denied'],
  ['<"v%ext.test">', 'v%ext.test', '', 'relay-denied'],
  ['<v@ext.test@ok.test>, cut at the first @', 'v', 'ext.test@ok.test', 'relay-denied'],
  ['<v@ext.test@ok.test>, cut at the last @', 'v@ext.test', 'ok.test', 'bad-local-part'],
  ['<"v@ext.test"@ok.test>', 'v@ext.test', 'ok.test', 'bad-local-part'],
  ['<"v@ext.test"@[ip]>', 'v@ext.test', '[192.0.2.1]', 'bad-local-part'],
  ['<@ok.test:v@ext.test>, its route dropped (RFC 5321 §4.1.2)', 'v', 'ext.test', 'relay-denied'],
  ['<@ok.test:v@ext.test>, its route kept', '@ok.test:v', 'ext.test', 'relay-denied'],
  ['<@[ip]:v@ext.test>', 'v', 'ext.test', 'relay-denied'],
  ['<@ok.test,@x:v@ext.test>', 'v', 'ext.test', 'relay-denied'],
  ['<ext.test!v>', 'ext.test!v', '', 'relay-denied'],
  ['<ext.test!v@ok.test>', 'ext.test!v', 'ok.test', 'bad-local-part'],
  ['<ext.test!v@[ip]>', 'ext.test!v', '[192.0.2.1]', 'bad-local-part'],
  ['<v@ext.test.>', 'v', 'ext.test.', 'relay-denied'],
  ['<v@EXT.TEST>', 'v', 'EXT.TEST', 'relay-denied'],
  ['<v@ok.test.ext.test>', 'v', 'ok.test.ext.test', 'relay-denied'],
  ['<v@xok.test>', 'v', 'xok.test', 'relay-denied'],
  ['<v@ok.test%00.ext.test>', 'v', 'ok.test%00.ext.test', 'relay-denied'],
  ['<v@[127.0.0.1]>', 'v', '[127.0.0.1]', 'relay-denied'],
  ['<v@[IPv6:::1]>', 'v', '[ipv6:::1]', 'relay-denied'],
  ['<v@localhost>', 'v', 'localhost', 'relay-denied'],
  ['<v>', 'v', '', 'relay-denied'],
  ['<postmaster@ext.test>', 'postmaster', 'ext.test', 'relay-denied'],
  ['<v@оk.test> with a Cyrillic о', 'v', 'оk.test', 'relay-denied'],
  ['<v@xn--…>', 'v', 'xn--k-0tb.test', 'relay-denied'],
  // Beyond the list: what domainToASCII, a URL parser's function, would make of odd names.
  ['<v@ok%2Etest>', 'v', 'ok%2etest', 'relay-denied'],
  ['<v@ok.test/ü>, a URL ends at the slash', 'v', 'ok.test/ü', 'relay-denied'],
  ['<v@ok.test／x>, the same in full width', 'v', 'ok.test／x', 'relay-denied'],
  ['<v@x＠ok.test>, a full-width @', 'v', 'x＠ok.test', 'relay-denied'],
  ['<v@ok.test：25>, a full-width port', 'v', 'ok.test：25', 'relay-denied'],
  ['<v@ok.test..>', 'v', 'ok.test..', 'relay-denied'],
  ['<v@.ok.test>', 'v', '.ok.test', 'relay-denied'],
  ['<v@ ok.test>', 'v', ' ok.test', 'relay-denied'],
];

describe('C-047: open relay vectors (attacks.md §3.9)', () => {
  // A decision never sees the sender, so each of the seven sender forms of gets the same answer.
  it.each(vectors)('%s is refused to strangers', (_form, localPart, domain, refusal) => {
    expect(decision.decide(mailbox(localPart, domain), inbound)).toEqual({ ok: false, refusal });
  });

  it.each(vectors)(
    '%s is refused to who has not logged in on a submission listener',
    (_form, localPart, domain) => {
      const facts = { ...submission, user: '' };
      expect(decision.decide(mailbox(localPart, domain), facts)).toEqual({
        ok: false,
        refusal: 'auth-required',
      });
    },
  );

  it.each(vectors)('%s is refused to a user on an inbound listener', (_form, localPart, domain, refusal) => {
    const facts: RelayFacts = { role: 'inbound', user: 'alice', listenerRoute: 'out' };
    expect(decision.decide(mailbox(localPart, domain), facts)).toEqual({ ok: false, refusal });
  });

  it('takes the decision without looking at the sender (A-3.9)', () => {
    expect(decision.decide.length).toBe(2);
    expect(Object.keys(inbound).toSorted()).toEqual(['listenerRoute', 'role', 'user']);
  });

  it.each(['toString', 'constructor', '__proto__', 'hasownproperty'])(
    'knows no domain named %s (A-088)',
    (name) => {
      expect(decision.decide(mailbox('v', name), inbound)).toEqual({ ok: false, refusal: 'relay-denied' });
      expect(decision.decide(mailbox(name, 'list.test'), inbound)).toEqual({
        ok: false,
        refusal: 'unknown-recipient',
      });
    },
  );
});

describe('recipients that are ours', () => {
  const table: [localPart: string, domain: string, route: string, why: string][] = [
    ['v', 'ok.test', 'office', 'the domain itself'],
    ['v', 'OK.Test', 'office', 'in any case (RFC 5321 §2.4)'],
    ['v', 'ok.test.', 'office', 'with the root dot'],
    ['v', 'ｏｋ.test', 'office', 'full-width letters are the same name (UTS 46)'],
    ['v', 'ok。test', 'office', 'and so is the ideographic full stop'],
    ['v', 'a.wild.test', 'wild', 'a subdomain of a wildcard'],
    ['v', 'a.b.c.wild.test', 'wild', 'at any depth'],
    ['v', '[192.0.2.1]', 'literal', 'an address literal that is configured'],
    ['joe', 'list.test', 'listed', 'a local part of the list'],
    ['JOE', 'bücher.test', 'listed', 'which holds for each of its domains, in any case'],
    ['joe', 'xn--bcher-kva.test', 'listed', 'a U-label and its A-label are one domain'],
    ['ann', 'list.test', 'listed', 'a full address of the list'],
    ['eve', 'bücher.test', 'listed', 'also when one is written with A-labels'],
    ['postmaster', 'list.test', 'listed', 'postmaster needs no list (C-046)'],
    ['PostMaster', 'a.wild.test', 'wild', 'in any case, at each domain (C-046)'],
    ['a+b', 'ok.test', 'office', 'a detail'],
    ['joe doe', 'ok.test', 'office', 'what needs quotes'],
  ];
  it.each(table)('<%s@%s> goes to %s: %s', (localPart, domain, route) => {
    expect(decision.decide(mailbox(localPart, domain), inbound)).toEqual({ ok: true, route });
    // Own domains keep their own route on a submission listener too.
    expect(decision.decide(mailbox(localPart, domain), submission)).toEqual({ ok: true, route });
  });

  const unknown: [localPart: string, domain: string, why: string][] = [
    ['bob', 'list.test', 'nobody of that name'],
    ['ann', 'bücher.test', 'a full address holds at its own domain only'],
    ['joe.', 'list.test', 'not the same local part'],
  ];
  it.each(unknown)('<%s@%s> is unknown: %s', (localPart, domain) => {
    expect(decision.decide(mailbox(localPart, domain), inbound)).toEqual({
      ok: false,
      refusal: 'unknown-recipient',
    });
  });

  const notCovered: [domain: string, why: string][] = [
    ['wild.test', '`*.wild.test` is not wild.test itself'],
    ['xwild.test', 'nor what merely ends alike'],
    ['wild.test.ext.test', 'nor what begins alike'],
    ['sub.ok.test', 'a plain name covers no subdomain'],
  ];
  it.each(notCovered)('%s is not ours: %s', (domain) => {
    expect(decision.decide(mailbox('v', domain), inbound)).toEqual({ ok: false, refusal: 'relay-denied' });
    expect(decision.isLocal(domain)).toBe(false);
  });
});

describe('the closest name decides', () => {
  const nested = new RelayDecision({
    ...config,
    domains: [
      { names: ['*.a.test'], recipients: { kind: 'any' }, route: 'outer' },
      { names: ['*.b.a.test'], recipients: { kind: 'any' }, route: 'inner' },
      { names: ['c.b.a.test'], recipients: { kind: 'any' }, route: 'exact' },
    ],
  });
  it.each([
    ['x.a.test', 'outer'],
    ['b.a.test', 'outer'],
    ['x.b.a.test', 'inner'],
    ['c.b.a.test', 'exact'],
    ['x.c.b.a.test', 'inner'],
  ])('%s → %s', (domain, route) => {
    expect(nested.decide(mailbox('v', domain), inbound)).toEqual({ ok: true, route });
  });
});

function refusedFor(refusal: string): object {
  return { ok: false, refusal };
}

describe('after AUTH on a submission listener', () => {
  it('sends any recipient by the listener route', () => {
    expect(decision.decide(mailbox('v', 'ext.test'), submission)).toEqual({ ok: true, route: 'out' });
    expect(decision.decide(mailbox('v%w', 'ext.test'), submission)).toEqual({ ok: true, route: 'out' });
  });

  it('refuses all when the listener has no route', () => {
    const facts = { ...submission, listenerRoute: undefined };
    expect(decision.decide(mailbox('v', 'ext.test'), facts)).toEqual({ ok: false, refusal: 'relay-denied' });
  });

  it('refuses literals, routed local parts at our domains and names that are none, as from anybody', () => {
    expect(decision.decide(mailbox('v', '[127.0.0.1]'), submission)).toEqual(refusedFor('relay-denied'));
    expect(decision.decide(mailbox('v%ext.test', 'ok.test'), submission)).toEqual(
      refusedFor('bad-local-part'),
    );
    expect(decision.decide(mailbox('v', 'ok.test%00.ext.test'), submission)).toEqual(
      refusedFor('relay-denied'),
    );
  });
});

describe('<Postmaster> without a domain (C-046)', () => {
  const bare: Mailbox = { address: 'pOsTmAsTeR', localPart: 'pOsTmAsTeR', domain: '' };

  it.each([
    [undefined, 'office', 'postmaster@ok.test', 'the first domain when none is configured'],
    ['hostmaster@list.test', 'listed', 'hostmaster@list.test', "the configured one by its domain's route"],
    [
      'me@elsewhere.test',
      'office',
      'postmaster@ok.test',
      'not to a foreign one, which a next hop may refuse',
    ],
  ])('configured %s → route %s, address %s: %s', (postmaster, route, address, _why) => {
    const answer = { ok: true, route, address };
    expect(new RelayDecision({ ...config, postmaster }).decide(bare, inbound)).toEqual(answer);
  });

  it('goes to the host itself when all domains are wildcards', () => {
    const wild = new RelayDecision({ ...config, domains: config.domains.slice(1, 2).map(onlyWildcards) });
    expect(wild.decide(bare, inbound)).toEqual({
      ok: true,
      route: 'wild',
      address: 'postmaster@mx1.ok.test',
    });
  });

  it('is refused where there is no domain at all', () => {
    const none = new RelayDecision({ ...config, domains: [] });
    expect(none.decide(bare, inbound)).toEqual({ ok: false, refusal: 'relay-denied' });
  });
});

function onlyWildcards(domain: RelayConfig['domains'][number]): RelayConfig['domains'][number] {
  return { ...domain, names: domain.names.filter((name) => name.startsWith('*.')) };
}

describe('a route to mx', () => {
  const mx = new RelayDecision({
    ...config,
    routes: { office: { hops: [{ kind: 'mx' }] }, out: { hops: [{ kind: 'mx' }] }, listed: { hops: [] } },
  });

  it.each([
    ['v', 'ext.test', 'out/ext.test', 'the domain behind the route'],
    ['v', 'EXT.Test.', 'out/ext.test', 'in one spelling, whatever the client wrote'],
    ['v', 'BÜCHER.ext.test', 'out/xn--bcher-kva.ext.test', 'as A-labels, which DNS asks for'],
    ['v', 'ok.test', 'office/ok.test', 'our own domains too: a second MX'],
    ['joe', 'list.test', 'listed', 'other routes stand alone'],
  ])('%s@%s → %s: %s', (localPart, domain, route) => {
    expect(mx.decide(mailbox(localPart, domain), submission)).toEqual({ ok: true, route });
  });

  it('takes <Postmaster> to his domain', () => {
    const bare: Mailbox = { address: 'postmaster', localPart: 'postmaster', domain: '' };
    expect(mx.decide(bare, inbound)).toEqual({
      ok: true,
      route: 'office/ok.test',
      address: 'postmaster@ok.test',
    });
  });
});

describe('canonicalDomain', () => {
  it('takes linear time for a name of 100 000 labels (A-063)', () => {
    expect(canonicalDomain('a.'.repeat(100_000))).toBeUndefined();
    expect(canonicalDomain('ü.'.repeat(100_000))).toBeUndefined();
  });

  it('refuses labels of 64 characters and names of 256 (A-092)', () => {
    expect(canonicalDomain(`${'a'.repeat(63)}.test`)).toBeDefined();
    expect(canonicalDomain(`${'a'.repeat(64)}.test`)).toBeUndefined();
    expect(canonicalDomain(`${'a.'.repeat(126)}test`)).toBeUndefined();
  });
});

describe('a domain that takes no mail (C-131)', () => {
  it.each(['v', 'Postmaster', 'v%ext.test'])('refuses %s for good, whoever asks', (localPart) => {
    for (const facts of [inbound, submission])
      expect(decision.decide(mailbox(localPart, 'gone.test'), facts)).toEqual({
        ok: false,
        refusal: 'takes-no-mail',
      });
  });

  it('is not where Postmaster without a domain goes', () => {
    const alone = new RelayDecision({
      ...config,
      domains: [
        { names: ['gone.test'], recipients: { kind: 'none' }, route: 'office' },
        { names: ['ok.test'], recipients: { kind: 'any' }, route: 'office' },
      ],
    });
    expect(alone.postmaster).toEqual({ route: 'office', address: 'postmaster@ok.test' });
  });
});
