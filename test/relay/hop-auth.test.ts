import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';

import type { RouteConfig } from '../../src/config/config.js';
import type { Answer, FakeHop, FakeHopOptions } from '../support/fake-hop.js';
import { RelayRig, fakeHop, lmtp, routeTo, smtp, told } from './relay-rig.js';

const body = 'Subject: x\r\n\r\ntext\r\n';
const auth = { user: 'gate', password: 'très secret' };
const plain = Buffer.from('\0gate\0très secret').toString('base64');
const user = Buffer.from('gate').toString('base64');
const password = Buffer.from('très secret').toString('base64');
const tls = {
  key: readFileSync('test/support/tls/localhost.key'),
  cert: readFileSync('test/support/tls/localhost.crt'),
};
const delivered = ['delivered 250 2.0.0 taken'];

const goAndCut: Answer = ({ socket }) => void socket.end('220 go\r\n');

function hopWith(extensions: readonly string[], answers: FakeHopOptions['answers'] = {}): Promise<FakeHop> {
  return fakeHop({ tls, extensions, answers });
}

function rigTo(hop: FakeHop, changes: Partial<RouteConfig> = {}): RelayRig {
  return new RelayRig(routeTo([smtp(hop.port)], { tls: 'required', auth, ...changes }));
}

describe('AUTH to the hop (RFC 4954)', () => {
  it.each([
    ['PLAIN with its response on the line', ['AUTH LOGIN PLAIN'], auth, [`AUTH PLAIN ${plain}`]],
    ['LOGIN where there is nothing else', ['AUTH X LOGIN'], auth, ['AUTH LOGIN', user, password]],
    ['lower case', ['auth plain'], auth, [`AUTH PLAIN ${plain}`]],
    [
      'a long PLAIN response, which is sent on its own (§4)',
      ['AUTH PLAIN'],
      { user: 'u', password: 'p'.repeat(400) },
      ['AUTH PLAIN', Buffer.from(`\0u\0${'p'.repeat(400)}`).toString('base64')],
    ],
  ])('%s', async (_name, extensions, credentials, lines) => {
    const hop = await hopWith(extensions);
    const rig = rigTo(hop, { auth: credentials });
    expect(told(await rig.deliver(body))).toEqual(delivered);
    expect(hop.messages[0]?.secure).toBe(true);
    // After the EHLO inside TLS, and before everything else.
    expect(hop.commands.slice(2, 4 + lines.length)).toEqual([
      'EHLO mx.example.org',
      ...lines,
      'MAIL FROM:<sender@example.org>',
    ]);
  });

  it('works for LMTP, once per connection', async () => {
    const hop = await fakeHop({ protocol: 'lmtp', tls, extensions: ['AUTH PLAIN'] });
    const rig = new RelayRig(routeTo([lmtp(hop.port)], { tls: 'required', auth }));
    for (let i = 0; i < 3; i++) expect(told(await rig.deliver(body))).toEqual(delivered);
    expect(hop.commands.filter((line) => line.startsWith('AUTH'))).toHaveLength(1);
  });

  it.each([
    ['535 5.7.8 no', 'AUTH: 535 5.7.8 no'],
    ['454 4.7.0 later', 'AUTH: 454 4.7.0 later'],
    ['504 5.5.4 what', 'AUTH: 504 5.5.4 what'],
    ['334 more', 'AUTH: 334 more'],
    ['250 ok', 'AUTH: 250 ok'],
    ['421 4.3.2 bye', 'AUTH: 421 4.3.2 bye'],
  ])('C-120: answered %j: the mail waits, the log says why', async (said, reason) => {
    const hop = await hopWith(['AUTH PLAIN'], { AUTH: said });
    const rig = rigTo(hop);
    expect(told(await rig.deliver(body))).toEqual([`pending ${reason}`]);
    expect(rig.events('relay.hop-down')).toMatchObject([{ reason }]);
    expect(hop.commands.some((line) => line.startsWith('MAIL'))).toBe(false);
  });

  it.each([
    ['no AUTH', ['SIZE'], 'no AUTH'],
    ['AUTH with nothing that we speak', ['AUTH CRAM-MD5 GSSAPI'], 'only CRAM-MD5 GSSAPI'],
    ['AUTH with nothing at all', ['AUTH'], 'no AUTH'],
  ])('a hop with %s: the mail waits', async (_name, extensions, offered) => {
    const hop = await hopWith(extensions);
    expect(told(await rigTo(hop).deliver(body))).toEqual([
      `pending 4.7.0 the route has credentials, and the hop offers ${offered}`,
    ]);
  });

  it('what the hop offered before TLS does not count (RFC 3207 §4.2)', async () => {
    const hop = await hopWith([]);
    const hellos = ['250-hop\r\n250-STARTTLS\r\n250 AUTH PLAIN', '250 hop'];
    hop.answers.EHLO = () => hellos.shift();
    expect(told(await rigTo(hop).deliver(body))[0]).toMatch(/^pending 4\.7\.0 .* no AUTH$/);
    expect(hop.commands.some((line) => line.startsWith('AUTH'))).toBe(false);
  });

  it.each(['opportunistic', 'required', 'off'] as const)(
    'tls: %s and a hop without STARTTLS: no password in clear, the mail waits',
    async (mode) => {
      const hop = await fakeHop({ extensions: ['AUTH PLAIN LOGIN'] });
      expect(told(await rigTo(hop, { tls: mode }).deliver(body))[0]).toMatch(/^pending 4\.7\.[04] /);
      expect(hop.commands).toEqual(['EHLO mx.example.org']);
      expect(hop.connections).toBe(1);
    },
  );

  it('opportunistic and a broken handshake: no second connection without TLS', async () => {
    const hop = await fakeHop({ extensions: ['STARTTLS', 'AUTH PLAIN'], answers: { STARTTLS: goAndCut } });
    expect(told(await rigTo(hop, { tls: 'opportunistic' }).deliver(body))[0]).toMatch(/^pending /);
    expect(hop.connections).toBe(1);
  });

  it('no credentials: AUTH is not said, whatever the hop offers', async () => {
    const hop = await hopWith(['AUTH PLAIN']);
    await rigTo(hop, { auth: undefined }).deliver(body);
    expect(hop.commands.some((line) => line.startsWith('AUTH'))).toBe(false);
  });

  it.each([
    ['the response', `535 bad: AUTH PLAIN ${plain}`],
    ['the password', '535 wrong password très secret'],
    ['its base64', `535-x\r\n535 ${password} is wrong`],
  ])('a hop that repeats %s: it is in no log line and in no reply', async (_name, said) => {
    const hop = await hopWith(['AUTH PLAIN'], { AUTH: said });
    const rig = rigTo(hop);
    expect(told(await rig.deliver(body))).toEqual(['pending AUTH: 535 (its text repeats the password)']);
    const log = JSON.stringify(rig.lines);
    for (const secret of [plain, password, 'secret']) expect(log).not.toContain(secret);
  });
});
