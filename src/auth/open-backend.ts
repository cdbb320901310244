/** The backend that the config names, behind its gate, with its log lines and its metrics. */
import { readFile } from 'node:fs/promises';
import { PosternError, describeError, type ErrorCode } from '../base/errors.js';
import type { Log } from '../base/log.js';
import type { AuthBackendConfig, LdapAuthConfig } from '../config/auth-backend-config.js';
import type { Meters } from '../metrics/meters.js';
import { BackendAuthenticator } from '../policy/backend-authenticator.js';
import { BackendGate } from './backend-gate.js';
import type { Backend } from './backend.js';
import { DovecotBackend } from './dovecot-backend.js';
import { HttpBackend } from './http-backend.js';
import { LdapBackend } from './ldap-backend.js';

/** An entry is about 200 bytes. */
const rememberedLogins = 10_000;
// What a client or a backend says is cut to this in a log line.
const loggedCharacters = 256;

export interface OpenedBackend {
  readonly authenticator: BackendAuthenticator;
  close(): void;
}

/** Asks nobody yet: a backend that is down when we start keeps no mail out. @throws PosternError AUTH_PACKAGE, TLS_UNUSABLE */
export async function openBackend(
  config: AuthBackendConfig,
  cacheMs: number,
  { log, meters }: { readonly log: Log; readonly meters: Meters },
): Promise<OpenedBackend> {
  const backend = await makeBackend(config);
  const gate = new BackendGate({
    backend,
    bounds: config,
    observe: (result, seconds) => count(meters, result, seconds),
    down: (error, restMs) =>
      log.error(
        { event: 'auth.backend-down', backend: backend.name, ...described(error), restMs },
        'the authentication backend does not answer; logins get 454 without asking it, until a probe is answered',
      ),
    up: () =>
      log.info(
        { event: 'auth.backend-up', backend: backend.name },
        'the authentication backend answers again',
      ),
  });
  meters.onSnapshot(() => {
    meters.authBackendDown.of().value = gate.isDown ? 1 : 0;
  });
  const authenticator = new BackendAuthenticator({
    ask: (login) => gate.ask(login),
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
          user: user.slice(0, loggedCharacters),
          ...described(error),
        },
        'a login could not be checked and got 454',
      ),
  });
  return { authenticator, close: () => gate.close() };
}

function described(error: PosternError): { code: ErrorCode; err: string } {
  return { code: error.code, err: error.message.slice(0, loggedCharacters) };
}

/** `AUTH_TIMEOUT` → `timeout`. */
function count(meters: Meters, result: 'ok' | 'failed' | ErrorCode, seconds: number): void {
  const answered = result === 'ok' || result === 'failed';
  // Not asked: it would make the times look good.
  if (result !== 'AUTH_RESTING')
    meters.authBackendSeconds.of(answered ? result : 'unavailable').observe(seconds);
  if (!answered) meters.authBackendFailuresTotal.of(result.slice('AUTH_'.length).toLowerCase()).value += 1;
}

async function makeBackend(config: AuthBackendConfig): Promise<Backend> {
  switch (config.kind) {
    case 'dovecot':
      return new DovecotBackend(config);
    case 'http':
      return new HttpBackend({
        ...config,
        ca: await readAuthorities(config.ca),
        connections: config.concurrent,
      });
    case 'ldap':
      return LdapBackend.open({
        server: {
          host: config.host,
          port: config.port,
          tls: ldapTls(config),
          ca: await readAuthorities(config.ca),
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
