/**
 * Log-in with a client certificate that TLS has verified (SASL EXTERNAL): whom it may stand for. Where there is a users
 * file he has to be in it, so that removing a user ends what his certificate opens.
 */
import { prepareString } from '../base/prepare-string.js';
import type { AuthResult } from './login.js';

export interface CertificateCheckOptions {
  /** Undefined: everybody whose certificate verifies is a user. @param name prepared */
  readonly isUser: ((name: string) => boolean) | undefined;
  readonly meters: { readonly authTotal: { of(mechanism: string, result: string): { value: number } } };
}

export type CertificateResult =
  Extract<AuthResult, { kind: 'ok' }> | { readonly kind: 'failed'; readonly why: string };

export class CertificateCheck {
  readonly #options: CertificateCheckOptions;

  constructor(options: CertificateCheckOptions) {
    this.#options = options;
  }

  /**
   * @param authorizationId empty: the first identity
   * @param identities of the verified certificate, best first, as written in it; empty where there is none
   */
  check(authorizationId: string, identities: readonly string[]): CertificateResult {
    const result = this.#check(authorizationId, identities);
    this.#options.meters.authTotal.of('EXTERNAL', result.kind).value++;
    return result;
  }

  #check(authorizationId: string, identities: readonly string[]): CertificateResult {
    const names = identities.flatMap((identity) => prepareString(identity) ?? []);
    const user = authorizationId === '' ? names[0] : prepareString(authorizationId);
    if (user === undefined || !names.includes(user))
      return { kind: 'failed', why: `the certificate stands for ${names.join(', ') || 'nobody'}` };
    const { isUser } = this.#options;
    if (isUser !== undefined && !isUser(user))
      return { kind: 'failed', why: `${user} is not in the users file` };
    return { kind: 'ok', user };
  }
}
