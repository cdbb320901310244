/** The backend that the config names for passwords, behind its gate. */
import { readFile } from 'node:fs/promises';
import type { LookupFunction } from 'node:net';
import { PosternError, describeError } from '../base/errors.js';
import { maxLoggedCharacters } from '../base/logged-values.js';
import type { AuthBackendConfig, LdapAuthConfig } from '../config/auth-backend-config.js';
import { BackendAuthenticator } from '../policy/backend-authenticator.js';
import type { Backend } from './backend.js';
import { DovecotBackend } from './dovecot-backend.js';
import { HttpBackend } from './http-backend.js';
import { LdapBackend } from './ldap-backend.js';
import { described, openGate, type Surroundings } from './open-gate.js';

/** An entry is about 200 bytes. */
const rememberedLogins = 10_000;

export interface OpenedBackend {
  readonly authenticator: BackendAuthenticator;
  close(): void;
}

/** Asks nobody yet: a backend that is down when we start keeps no mail out. @throws PosternError AUTH_PACKAGE, TLS_UNUSABLE */
export async function openBackend(
  config: AuthBackendConfig,
  cacheMs: number,
  around: Surroundings,
): Promise<OpenedBackend> {
  const { log, meters, lookup } = around;
  const backend = await makeBackend(config, lookup);
  const gate = openGate(backend, 'passwords', config, around);
  const authenticator = new BackendAuthenticator({
    ask: (login) => gate.ask(login, login.origin.isKnown),
    cache: { entries: rememberedLogins, ttlMs: cacheMs },
    meters,
    unavailable: (error, { user, origin }) =>
      log.warn(
        {
          event: 'auth.unavailable',
          sid: origin.sessionId,
          listener: origin.listener,
          client: origin.address,
          backend: backend.name,
          user: user.slice(0, maxLoggedCharacters),
          ...described(error),
        },
        'a login could not be checked and got 454',
      ),
  });
  return { authenticator, close: () => gate.close() };
}

async function makeBackend(config: AuthBackendConfig, lookup: LookupFunction): Promise<Backend> {
  switch (config.kind) {
    case 'dovecot':
      return new DovecotBackend({ ...config, lookup });
    case 'http':
      return new HttpBackend({
        ...config,
        ca: await readAuthorities(config.ca),
        connections: config.concurrent,
        lookup,
      });
    case 'ldap':
      return LdapBackend.open({
        server: {
          host: config.host,
          port: config.port,
          tls: ldapTls(config),
          ca: await readAuthorities(config.ca),
          lookup,
        },
        find: config.find,
      });
  }
}

function ldapTls({ secure, startTls }: LdapAuthConfig): 'implicit' | 'starttls' | 'off' {
  if (secure) return 'implicit';
  return startTls ? 'starttls' : 'off';
}

async function readAuthorities(file: string | undefined): Promise<string | undefined> {
  if (file === undefined) return undefined;
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new PosternError('TLS_UNUSABLE', `${file} cannot be read: ${describeError(error)}`, error);
  }
}
