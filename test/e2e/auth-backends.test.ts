/** Log-ins that Debian's Dovecot, Debian's OpenLDAP and a service over HTTP decide, over the wire; then without them. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { LdapBackend, type LdapOptions } from '../../src/auth/ldap-backend.js';
import { PosternError } from '../../src/base/errors.js';
import { lookup } from '../auth/host-names.js';
import { login } from '../auth/logins.js';
import {
  directoryAccount,
  directoryUsers,
  startDovecotAuth,
  startSlapd,
  type DovecotAuth,
  type Slapd,
} from '../support/auth-peers.js';
import { skipReason } from '../support/peers.js';
import {
  startPostern,
  testCertificate,
  type ConfigOverrides,
  type RunningPostern,
} from '../support/postern.js';
import { until } from '../support/processes.js';
import { SmtpClient } from '../support/smtp-client.js';

function configWith(backend: ConfigOverrides): ConfigOverrides {
  return {
    workers: 1,
    tls: testCertificate,
    auth: { backend, cache: '0' },
    routes: { disk: { to: 'maildir:./maildir' } },
    listeners: [{ name: 'submission', role: 'submission', tls: 'required', route: 'disk' }],
    limits: { authFailures: 50, errors: 60 },
  };
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

async function logIn(postern: RunningPostern, name: string, password: string): Promise<string> {
  const client = await SmtpClient.greeted(postern.smtpPort);
  await client.startTls();
  await client.command('EHLO client.test');
  const reply = await client.command(`AUTH PLAIN ${base64(`\0${name}\0${password}`)}`);
  client.destroy();
  return reply;
}

/** Until its circuit breaker has opened. */
async function untilResting(postern: RunningPostern): Promise<string[]> {
  const replies: string[] = [];
  for (let i = 0; i < 4; i++) replies.push(await logIn(postern, 'alice', 'tiger'));
  expect(await postern.metric('postern_auth_backend_failures_total', { reason: 'resting' })).toBeGreaterThan(
    0,
  );
  expect(await postern.metric('postern_auth_backend_down')).toBe(1);
  return replies;
}

const yes = /^235 2\.7\.0 /;
const no = /^535 5\.7\.8 /;
const notNow = /^454 4\.7\.0 /;

describe.skipIf(skipReason('dovecot'))('with Dovecot', () => {
  const barred = { carol: 'nologin reason=Moved', dan: 'user_disabled', eve: 'proxy=y host=127.0.0.9' };
  let dovecot: DovecotAuth;
  let postern: RunningPostern;

  beforeAll(async () => {
    dovecot = await startDovecotAuth({ alice: 'tiger', 'bob@example.test': 'l\u00efon "' }, barred);
    postern = await startPostern({ config: configWith({ dovecot: { socket: dovecot.socket } }) });
  });
  afterAll(async () => {
    await postern.dispose();
    await dovecot.stop();
  });

  it('its users log in, by PLAIN and by LOGIN, and are known by the name that Dovecot has for them', async () => {
    const client = await SmtpClient.greeted(postern.smtpPort);
    await client.startTls();
    expect(await client.command('EHLO client.test')).toContain('AUTH PLAIN LOGIN');
    expect(await client.command('AUTH LOGIN')).toMatch(/^334 /);
    expect(await client.command(base64('ALICE'))).toMatch(/^334 /);
    expect(await client.command(base64('tiger'))).toMatch(yes);
    const reply = await client.send('Subject: t\r\n\r\nx', {
      from: 'alice@example.test',
      to: 'joe@ext.test',
    });
    expect(reply).toMatch(/^250 /);
    client.destroy();
    await until('the log has the message', () =>
      postern.log.some(({ event }) => event === 'message.accepted'),
    );
    expect(postern.log.find(({ event }) => event === 'message.accepted')).toMatchObject({ user: 'alice' });
    expect(await logIn(postern, 'bob@example.test', 'l\u00efon "')).toMatch(yes);
  });

  it('wrong passwords and strangers get one answer (A-101)', async () => {
    const replies = await Promise.all([
      logIn(postern, 'alice', 'lion'),
      logIn(postern, 'nobody', 'tiger'),
      logIn(postern, 'alice', 'tiger\tresp='),
    ]);
    expect([...new Set(replies)]).toEqual([expect.stringMatching(no)]);
  });

  it.each(Object.keys(barred))(
    'a user whose entry says no is refused as with a wrong password, and the log says why (A-101): %s',
    async (user) => {
      expect(await logIn(postern, user, 'wrong')).toMatch(no);
      expect(await logIn(postern, user, 'barred')).toMatch(no);
      const why = await until(
        'the log says why',
        () =>
          postern.log.filter(({ event, user: of }) => event === 'auth.failed' && of === user).at(1)?.['why'],
      );
      expect(why).toMatch(/^dovecot: (Moved|user_disabled|proxy)$/);
    },
  );

  it('no password is in the log', () => {
    expect(JSON.stringify(postern.log)).not.toMatch(/tiger|lion/);
  });

  it('a Dovecot that is gone costs 454 at once (A-103)', async () => {
    dovecot.kill();
    for (const reply of await untilResting(postern)) expect(reply).toMatch(notNow);
    await until('the log says so', () => postern.log.some(({ event }) => event === 'auth.backend-down'));
  });
});

describe.skipIf(skipReason('slapd', 'slapadd'))('with OpenLDAP', () => {
  let slapd: Slapd;
  let postern: RunningPostern;
  const backends: LdapBackend[] = [];
  const ca = readFileSync(testCertificate.certificate, 'utf8');
  const search = {
    base: 'ou=people,dc=example,dc=test',
    filter: '(&(objectClass=inetOrgPerson)(uid={user}))',
    account: directoryAccount,
  };

  beforeAll(async () => {
    slapd = await startSlapd();
    postern = await startPostern({
      config: configWith({
        ldap: {
          url: `ldap://localhost:${slapd.port}`,
          ca: testCertificate.certificate,
          search: {
            base: search.base,
            filter: search.filter,
            bindDn: directoryAccount.dn,
            password: directoryAccount.password,
          },
        },
      }),
    });
  });
  afterAll(async () => {
    for (const backend of backends) backend.close();
    await postern.dispose();
    await slapd.stop();
  });

  it('its users log in through StartTLS, a search and a bind', async () => {
    for (const [name, password] of Object.entries(directoryUsers))
      expect(await logIn(postern, name, password)).toMatch(yes);
  });

  it('nobody else does: the same answer to a wrong password, a stranger, a pattern and a name that two have (A-101)', async () => {
    const replies = new Set([
      await logIn(postern, 'alice', 'lion'),
      await logIn(postern, 'nobody', 'tiger'),
      await logIn(postern, 'alic*', 'tiger'),
      await logIn(postern, '*)(uid=alice', 'tiger'),
      await logIn(postern, 'twin', 'twin'),
      await logIn(postern, 'alice', ' '),
    ]);
    expect([...replies]).toEqual([expect.stringMatching(no)]);
  });

  async function ask(
    options: Partial<LdapOptions['server']>,
    find: LdapOptions['find'],
    name: string,
    password: string,
  ): Promise<string> {
    const server = { host: 'localhost', port: slapd.port, tls: 'starttls' as const, ca, lookup, ...options };
    const backend = await LdapBackend.open({ server, find });
    backends.push(backend);
    try {
      return (await backend.ask(login(name, password), AbortSignal.timeout(5_000))).kind;
    } catch (error) {
      return error instanceof PosternError ? `${error.code} ${error.message}` : String(error);
    }
  }

  const byName = { dn: 'cn={user},ou=named,dc=example,dc=test' };
  const ways: [way: string, server: () => Partial<LdapOptions['server']>, find: LdapOptions['find']][] = [
    ['StartTLS and a DN', () => ({}), byName],
    ['ldaps and a DN', () => ({ port: slapd.tlsPort, tls: 'implicit' }), byName],
    ['ldaps and a search', () => ({ port: slapd.tlsPort, tls: 'implicit' }), { search }],
    ['plain LDAP and a DN', () => ({ tls: 'off' }), byName],
  ];
  it.each(ways)('%s: every name is only a name, whatever is in it', async (_, server, find) => {
    for (const [name, password] of Object.entries(directoryUsers)) {
      expect(await ask(server(), find, name, password)).toBe('ok');
      expect(await ask(server(), find, name, 'lion')).toBe('failed');
    }
    expect(await ask(server(), find, 'nobody,ou=named', 'tiger')).toBe('failed');
  });

  it('a certificate of nobody we trust ends it before a password is sent', async () => {
    for (const server of [
      { ca: undefined },
      { ca: undefined, port: slapd.tlsPort, tls: 'implicit' as const },
    ])
      expect(await ask(server, byName, 'alice', 'tiger')).toMatch(/^AUTH_UNREACHABLE ldap: .*certificate/);
  });

  it('an account of ours that the directory refuses is no wrong password of a user', async () => {
    const find = { search: { ...search, account: { ...directoryAccount, password: 'wrong' } } };
    expect(await ask({}, find, 'alice', 'tiger')).toMatch(
      /^AUTH_PROTOCOL ldap: the bind of auth\.backend\.ldap\.search ended with result 49/,
    );
  });

  it('keeps its connections, and asks on new ones when the directory closed them', async () => {
    const backend = await LdapBackend.open({
      server: { host: 'localhost', port: slapd.port, tls: 'starttls', ca, lookup },
      find: { search },
    });
    backends.push(backend);
    for (let i = 0; i < 3; i++)
      expect(await backend.ask(login('alice', 'tiger'), AbortSignal.timeout(5_000))).toEqual({
        kind: 'ok',
        user: 'alice',
      });
    backend.close();
    expect(await backend.ask(login('alice', 'tiger'), AbortSignal.timeout(5_000))).toEqual({
      kind: 'ok',
      user: 'alice',
    });
  });

  it('a directory that is gone costs 454 at once (A-103)', async () => {
    await slapd.program.stop();
    for (const reply of await untilResting(postern)) expect(reply).toMatch(notNow);
  });
});

describe('with a service over HTTP', () => {
  let server: Server;
  let postern: RunningPostern;
  let asked = 0;

  beforeAll(async () => {
    server = createServer((request, response) => {
      let body = '';
      request.setEncoding('utf8').on('data', (text: string) => (body += text));
      request.on('end', () => {
        asked++;
        const fields: unknown = JSON.parse(body);
        const right =
          typeof fields === 'object' &&
          fields !== null &&
          'password' in fields &&
          fields.password === 'tiger';
        response.setHeader('content-type', 'application/json');
        response.end(JSON.stringify({ result: right ? 'ok' : 'failed' }));
      });
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const config = configWith({ http: { url: `http://127.0.0.1:${port}/login`, token: 'token-of-sixteen' } });
    postern = await startPostern({
      config: { ...config, auth: { backend: { http: { url: `http://127.0.0.1:${port}/login` } } } },
    });
  });
  afterAll(async () => {
    await postern.dispose();
    server.closeAllConnections();
    server.close();
  });

  it('it decides, is asked once for a success that repeats, and each time for a failure', async () => {
    expect(await logIn(postern, 'alice', 'tiger')).toMatch(yes);
    expect(await logIn(postern, 'alice', 'tiger')).toMatch(yes);
    expect(asked).toBe(1);
    expect(await logIn(postern, 'alice', 'lion')).toMatch(no);
    expect(await logIn(postern, 'alice', 'lion')).toMatch(no);
    expect(asked).toBe(3);
    expect(await postern.metric('postern_auth_backend_seconds_count', { result: 'failed' })).toBe(2);
    expect(await postern.metric('postern_auth_total', { mechanism: 'PLAIN', result: 'ok' })).toBe(2);
  });
});
