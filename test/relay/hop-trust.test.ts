import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';

import type { Hop, RouteConfig } from '../../src/config/config.js';
import type { FakeHop, FakeHopOptions } from '../support/fake-hop.js';
import { RelayRig, fakeHop, routeTo, smtp, told } from './relay-rig.js';

const body = 'Subject: x\r\n\r\ntext\r\n';
const place = 'test/support/tls/hops';
const ca = `${place}/ca.crt`;
const key = readFileSync(`${place}/hop.key`);
const delivered = ['delivered 250 2.0.0 taken'];

function certificate(name: string): { key: Buffer; cert: Buffer } {
  return { key, cert: readFileSync(`${place}/${name}.crt`) };
}

function fingerprint(name: string): string {
  return new X509Certificate(certificate(name).cert).fingerprint256.replaceAll(':', '').toLowerCase();
}

function hopWith(name: string, options: FakeHopOptions = {}): Promise<FakeHop> {
  return fakeHop({ tls: certificate(name), ...options });
}

function verified(hops: Hop[], changes: Partial<RouteConfig> = {}): RelayRig {
  return new RelayRig(routeTo(hops, { tls: 'verified', tlsCa: ca, ...changes }));
}

describe('verified by CA and name (RFC 9525)', () => {
  it.each(['localhost', '127.0.0.1'])('%s is in the certificate: delivered', async (host) => {
    const hop = await hopWith('good');
    const rig = verified([smtp(hop.port, host)]);
    expect(told(await rig.deliver(body))).toEqual(delivered);
    expect(hop.messages[0]?.secure).toBe(true);
    expect(rig.events('relay.connected')).toMatchObject([{ secure: true, certificate: 'verified' }]);
  });

  it.each([
    ['another name', 'other', 'localhost', /it is for DNS:mx\.other\.test/],
    ['another name, for a hop that is named by its address', 'other', '127.0.0.1', /it is for DNS:mx/],
    ['a common name alone', 'common-name', 'localhost', /it is for no name/],
    ['a wildcard in part of a label', 'partial', 'localhost', /it is for DNS:local\*/],
    ['an end in the past', 'expired', 'localhost', /CERT_HAS_EXPIRED/],
  ] as const)(
    'A-143: a certificate with %s: deferred with 4.7.5, nothing sent',
    async (_name, made, host, why) => {
      const hop = await hopWith(made);
      const rig = verified([smtp(hop.port, host)]);
      const [result = ''] = told(await rig.deliver(body));
      expect(result).toMatch(/^pending 4\.7\.5 the certificate of \S+ is refused: /);
      expect(result).toMatch(why);
      expect(hop.commands).toEqual(['EHLO mx.example.org', 'STARTTLS']);
      expect(rig.events('relay.hop-down')).toMatchObject([{ reason: expect.stringContaining('4.7.5') }]);
    },
  );

  it('A-143: a certificate of a CA that the route does not know: deferred', async () => {
    const cert = readFileSync('test/support/tls/localhost.crt');
    const hop = await fakeHop({ tls: { key: readFileSync('test/support/tls/localhost.key'), cert } });
    const [result] = told(await verified([smtp(hop.port, 'localhost')]).deliver(body));
    expect(result).toMatch(/^pending 4\.7\.5 .*SELF_SIGNED/);
  });

  it("without tlsCa the system's CAs count, which do not know ours", async () => {
    const hop = await hopWith('good');
    const [result] = told(await verified([smtp(hop.port, 'localhost')], { tlsCa: undefined }).deliver(body));
    expect(result).toMatch(/^pending 4\.7\.5 .*(UNABLE_TO|SELF_SIGNED)/);
  });

  it('A-028: STARTTLS stripped or refused: deferred, never in clear', async () => {
    for (const options of [{}, { tls: certificate('good'), answers: { STARTTLS: '454 4.7.0 no' } }]) {
      const hop = await fakeHop(options);
      const settlement = await verified([smtp(hop.port, 'localhost')]).deliver(body);
      expect(told(settlement)[0]).toMatch(/^pending (4\.7\.4 the hop does not offer|STARTTLS: 454)/);
      expect(hop.messages).toEqual([]);
    }
  });

  it('the next hop is tried, and takes the mail', async () => {
    const [bad, good] = [await hopWith('expired'), await hopWith('good')];
    const rig = verified([smtp(bad.port, 'localhost'), smtp(good.port, 'localhost', 1)]);
    expect(told(await rig.deliver(body))).toEqual(delivered);
    expect([bad.messages.length, good.messages.length]).toEqual([0, 1]);
  });

  it('a CA file that cannot be read defers the mail until it can', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'postern-ca-'));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    const tlsCa = join(directory, 'ca.pem');
    const hop = await hopWith('good');
    const rig = verified([smtp(hop.port, 'localhost')], { tlsCa });
    expect(told(await rig.deliver(body))[0]).toMatch(/^pending 4\.7\.5 tlsCa cannot be used: ENOENT/);
    writeFileSync(tlsCa, readFileSync(ca));
    rig.spool.onRetry?.('out');
    expect(told(await rig.deliver(body))).toEqual(delivered);
  });
});

describe('verified by fingerprint', () => {
  it.each(['good', 'other', 'expired', 'common-name'])(
    'the pinned certificate %s is taken, whatever its CA, name and dates',
    async (name) => {
      const hop = await hopWith(name);
      const tlsFingerprints = ['00'.repeat(32), fingerprint(name)];
      const rig = verified([smtp(hop.port)], { tlsCa: undefined, tlsFingerprints });
      expect(told(await rig.deliver(body))).toEqual(delivered);
    },
  );

  it('A-143: another certificate is refused, be its CA and name right', async () => {
    const hop = await hopWith('good');
    const rig = verified([smtp(hop.port, 'localhost')], { tlsFingerprints: [fingerprint('other')] });
    expect(told(await rig.deliver(body))[0]).toMatch(
      new RegExp(`^pending 4\\.7\\.5 .* its SHA-256 ${fingerprint('good')} is not pinned$`),
    );
    expect(hop.messages).toEqual([]);
  });
});
