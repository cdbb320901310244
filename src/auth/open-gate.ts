/** A gate with its log lines and its metrics. */
import type { LookupFunction } from 'node:net';

import type { ErrorCode, PosternError } from '../base/errors.js';
import type { Log } from '../base/log.js';
import { maxLoggedCharacters } from '../base/logged-values.js';
import type { Meters } from '../metrics/meters.js';
import { BackendGate, type BackendBounds } from './backend-gate.js';
import type { Backend, GivenAnswer } from './backend.js';

/** What a backend is asked about: a label of its metrics. */
export type Asked = 'passwords' | 'tokens';

const backends: Readonly<Record<Asked, string>> = {
  passwords: 'auth.backend',
  tokens: 'the issuer of auth.tokens',
};

const downMessages: Readonly<Record<Asked, string>> = {
  passwords: `${backends.passwords} does not answer, look there; logins with a password that is not remembered (auth.cache) get 454 without asking it, until a probe is answered`,
  tokens: `${backends.tokens} does not answer, look there; keys that were fetched serve for up to ten minutes, all other logins with a token get 454 without asking it, until a probe is answered`,
};

/** What the worker has for those who ask. */
export interface Surroundings {
  readonly log: Log;
  readonly meters: Meters;
  /** Of host names (base/host-addresses.ts). */
  readonly lookup: LookupFunction;
}

export function openGate<Question, Answer extends GivenAnswer>(
  backend: Backend<Question, Answer>,
  asked: Asked,
  bounds: BackendBounds,
  { log, meters }: Surroundings,
): BackendGate<Question, Answer> {
  const gate = new BackendGate({
    backend,
    bounds,
    observe: (result, seconds) => count(meters, asked, result, seconds),
    down: (error, restMs) =>
      log.error(
        { event: 'auth.backend-down', backend: backend.name, ...described(error), restMs },
        downMessages[asked],
      ),
    up: () =>
      log.info({ event: 'auth.backend-up', backend: backend.name }, `${backends[asked]} answers again`),
  });
  meters.onSnapshot(() => {
    meters.authBackendDown.of(asked).value = gate.isDown ? 1 : 0;
  });
  return gate;
}

export function described(error: PosternError): { code: ErrorCode; err: string } {
  return { code: error.code, err: error.message.slice(0, maxLoggedCharacters) };
}

/** `AUTH_TIMEOUT` → `timeout`. */
function count(meters: Meters, asked: Asked, result: 'ok' | 'failed' | ErrorCode, seconds: number): void {
  const answered = result === 'ok' || result === 'failed';
  // Not asked: it would make the times look good.
  if (result !== 'AUTH_RESTING')
    meters.authBackendSeconds.of(asked, answered ? result : 'unavailable').observe(seconds);
  if (!answered)
    meters.authBackendFailuresTotal.of(asked, result.slice('AUTH_'.length).toLowerCase()).value += 1;
}
