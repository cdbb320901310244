/**
 * The server's half of SCRAM that needs keys: nonce and salt for a name, the judgement of a proof, our signature. Keys
 * stay in here. It costs three HMACs and a hash, a few microseconds, so no pool thread is asked: the slow part, the
 * iterations, is the client's. Nobody learns from salt, answer or work whether a user exists: a name that we do
 * not know has a salt of its own that never changes, and a key that no proof fits.
 */
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

import type { ScramFamily } from '../protocol/types.js';
import { prepareString } from '../base/prepare-string.js';
import type { AuthResult } from './login.js';

export interface ScramVerifier {
  readonly iterations: number;
  readonly salt: Buffer;
  readonly storedKey: Buffer;
  readonly serverKey: Buffer;
}

export interface ScramUsers {
  /** @param name prepared */
  verifierOf(family: ScramFamily, name: string): ScramVerifier | undefined;
  /** The secret that salts of unknown names are made with: the same in every worker and after a restart. */
  readonly unknownSaltKey: Buffer;
  /** As most users have: an unknown name is told these. */
  commonIterations(family: ScramFamily): number;
}

export interface ScramSalt {
  /** Added to the client's own. */
  readonly nonce: string;
  readonly salt: Buffer;
  readonly iterations: number;
}

export interface ScramProof {
  readonly mechanism: string;
  readonly family: ScramFamily;
  readonly authorizationId: string;
  readonly authenticationId: string;
  /** RFC 5802 §3. */
  readonly authMessage: string;
  readonly proof: Buffer;
}

export type ScramResult =
  | (Extract<AuthResult, { kind: 'ok' }> & { readonly signature: Buffer })
  | Exclude<AuthResult, { kind: 'ok' }>;

export const scramFamilies = ['SCRAM-SHA-256', 'SCRAM-SHA-1'] as const satisfies readonly ScramFamily[];

interface Digest {
  readonly name: 'sha256' | 'sha1';
  readonly bytes: number;
}

export const scramDigests: Readonly<Record<ScramFamily, Digest>> = {
  'SCRAM-SHA-256': { name: 'sha256', bytes: 32 },
  'SCRAM-SHA-1': { name: 'sha1', bytes: 20 },
};
/** Of a user's own salt (pool/scram.ts) and of the one that an unknown name is told. */
export const scramSaltBytes = 16;
// 144 bits: nobody meets the same one twice. A multiple of three, so that its base64 has no padding.
const nonceBytes = 18;

const failed: ScramResult = { kind: 'failed' };

export interface ScramCheckOptions {
  readonly users: ScramUsers;
  readonly meters: { readonly authTotal: { of(mechanism: string, result: string): { value: number } } };
  /** A test's own. */
  readonly randomNonce?: () => string;
}

export class ScramCheck {
  readonly #options: ScramCheckOptions;
  /** Fits no proof that anybody can compute, and is as long as a user's own. */
  readonly #nobody: Readonly<Record<ScramFamily, ScramVerifier>>;

  constructor(options: ScramCheckOptions) {
    this.#options = options;
    this.#nobody = { 'SCRAM-SHA-256': nobody('SCRAM-SHA-256'), 'SCRAM-SHA-1': nobody('SCRAM-SHA-1') };
  }

  salt(family: ScramFamily, authenticationId: string): ScramSalt {
    const { users, randomNonce = newNonce } = this.#options;
    const name = prepareString(authenticationId);
    // Made for everybody, so that the known do not come back sooner.
    const made = unknownSalt(users.unknownSaltKey, family, name ?? authenticationId);
    const verifier = name === undefined ? undefined : users.verifierOf(family, name);
    return {
      nonce: randomNonce(),
      salt: verifier?.salt ?? made,
      iterations: verifier?.iterations ?? users.commonIterations(family),
    };
  }

  /** @param proof of somebody who acts for himself: an authorization id is empty or his own name */
  check(proof: ScramProof): ScramResult {
    const result = this.#check(proof);
    this.#options.meters.authTotal.of(proof.mechanism, result.kind).value++;
    return result;
  }

  #check({ family, authorizationId, authenticationId, authMessage, proof }: ScramProof): ScramResult {
    const name = prepareString(authenticationId);
    const actsForHimself = authorizationId === '' || prepareString(authorizationId) === name;
    const known =
      name === undefined || !actsForHimself ? undefined : this.#options.users.verifierOf(family, name);
    const { storedKey, serverKey } = known ?? this.#nobody[family];
    const { name: digest, bytes } = scramDigests[family];
    const signed = (key: Buffer): Buffer => createHmac(digest, key).update(authMessage).digest();
    // RFC 5802 §3: ClientKey = ClientProof XOR HMAC(StoredKey, AuthMessage), and H(ClientKey) has to be StoredKey.
    const clientKey = xor(signed(storedKey), proof);
    const isRight = timingSafeEqual(createHash(digest).update(clientKey).digest(), storedKey);
    const signature = signed(serverKey);
    if (name === undefined || known === undefined || !isRight || proof.length !== bytes) return failed;
    return { kind: 'ok', user: name, signature };
  }
}

function nobody(family: ScramFamily): ScramVerifier {
  const { bytes } = scramDigests[family];
  const key = (): Buffer => randomBytes(bytes);
  return { iterations: 0, salt: Buffer.alloc(0), storedKey: key(), serverKey: key() };
}

function newNonce(): string {
  return randomBytes(nonceBytes).toString('base64');
}

/** The family is part of it: a user has a salt of his own in each, too. */
function unknownSalt(key: Buffer, family: ScramFamily, name: string): Buffer {
  return createHmac('sha256', key).update(`${family}\0${name}`).digest().subarray(0, scramSaltBytes);
}

/** As long as the first. */
function xor(a: Buffer, b: Buffer): Buffer {
  return Buffer.from(a.map((byte, at) => byte ^ (b[at] ?? 0)));
}
