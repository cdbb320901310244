/**
 * The server's half of CRAM-MD5 (RFC 2195): a challenge that never came before, and the judgement of the HMAC over it.
 * It needs the password itself, which is why the users file has it only where the operator asked for that. One HMAC,
 * the same for names that we do not know.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

import { prepareString } from '../base/prepare-string.js';
import type { AuthResult } from './login.js';

export interface CramMd5Users {
  /** The password, prepared; undefined where it is not kept. @param name prepared */
  secretOf(name: string): string | undefined;
}

export interface CramMd5Options {
  readonly users: CramMd5Users;
  readonly hostname: string;
  readonly meters: { readonly authTotal: { of(mechanism: string, result: string): { value: number } } };
}

const nonceBytes = 18;
/** What the HMAC of a name that we do not know is keyed with. */
const nobodySecret = randomBytes(nonceBytes).toString('hex');

export class CramMd5Check {
  readonly #options: CramMd5Options;

  constructor(options: CramMd5Options) {
    this.#options = options;
  }

  /** RFC 2195 §2: the form of a Message-ID. */
  challenge(): string {
    return `<${randomBytes(nonceBytes).toString('hex')}.${Date.now()}@${this.#options.hostname}>`;
  }

  check(authenticationId: string, challenge: string, digest: Buffer): AuthResult {
    const name = prepareString(authenticationId);
    const secret = name === undefined ? undefined : this.#options.users.secretOf(name);
    const right = createHmac('md5', secret ?? nobodySecret)
      .update(challenge)
      .digest();
    const isRight = digest.length === right.length && timingSafeEqual(digest, right);
    const result: AuthResult =
      name !== undefined && secret !== undefined && isRight ? { kind: 'ok', user: name } : { kind: 'failed' };
    this.#options.meters.authTotal.of('CRAM-MD5', result.kind).value++;
    return result;
  }
}
