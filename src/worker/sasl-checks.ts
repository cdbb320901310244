/** The checks of a worker's log-ins, as far as the config has them, and the mechanisms that they can serve. */
import type { Log } from '../base/log.js';
import { showsPassword } from '../base/password-mechanisms.js';
import type { AuthConfig, Config, ConfiguredMechanism } from '../config/config.js';
import type { Meters } from '../metrics/meters.js';
import { CertificateCheck } from '../policy/certificate-check.js';
import { CramMd5Check } from '../policy/cram-md5-check.js';
import { ScramCheck } from '../policy/scram-check.js';
import { TokenCheck, type TokenSource } from '../policy/tokens/token-check.js';
import type { LoadedUsers } from '../pool/loaded-users.js';

/** Undefined: nothing of its kind is configured, and its mechanisms are not announced. */
export interface SaslChecks {
  readonly scram: ScramCheck | undefined;
  readonly cramMd5: CramMd5Check | undefined;
  readonly tokens: TokenCheck | undefined;
  readonly certificates: CertificateCheck | undefined;
}

/** @param tokens where they are looked up; undefined: none are taken */
export function openSaslChecks(
  { auth, hostname }: Pick<Config, 'auth' | 'hostname'>,
  users: LoadedUsers | undefined,
  tokens: TokenSource | undefined,
  meters: Meters,
): SaslChecks {
  return {
    scram: users && new ScramCheck({ users, meters }),
    cramMd5: users && new CramMd5Check({ users, hostname, meters }),
    tokens: tokens && new TokenCheck({ source: tokens, meters }),
    certificates: auth.mechanisms.includes('EXTERNAL')
      ? new CertificateCheck({ isUser: users && ((name) => users.hashOf(name) !== undefined), meters })
      : undefined,
  };
}

/**
 * Of the configured ones those that work for every user: one that fails for some is not announced (promise 6), and the
 * log says for how many.
 */
export function servedMechanisms(
  auth: AuthConfig,
  users: LoadedUsers | undefined,
  log: Log,
): ConfiguredMechanism[] {
  return auth.mechanisms.filter((mechanism) => {
    if (mechanism === 'OAUTHBEARER' || mechanism === 'XOAUTH2') return auth.tokens !== undefined;
    if (mechanism === 'EXTERNAL') return true;
    if (users === undefined) return auth.backend !== undefined && isAskable(mechanism, log);
    if (users.names.length === 0) return false;
    const lacking = users.lacking(mechanism);
    if (lacking > 0)
      log.warn(
        { event: 'auth.not-announced', mechanism, users: lacking },
        'a mechanism of auth.mechanisms is not announced: some users have nothing that it could be checked against; give them a password again with `postern users add` and its option',
      );
    return lacking === 0;
  });
}

/** Where not, it is no error: the default of auth.mechanisms has one that no backend can be asked by. */
function isAskable(mechanism: ConfiguredMechanism, log: Log): boolean {
  if (showsPassword(mechanism)) return true;
  log.info(
    { event: 'auth.not-announced', mechanism },
    'a mechanism of auth.mechanisms is not announced: auth.backend can be asked by PLAIN and LOGIN alone',
  );
  return false;
}
