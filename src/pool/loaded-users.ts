/** The users as they were when the file was read: what each mechanism's check looks up. In memory, changed by nobody. */
import { showsPassword } from '../base/password-mechanisms.js';
import type { Users } from '../policy/authenticate.js';
import type { CramMd5Users } from '../policy/cram-md5-check.js';
import { scramFamilies, type ScramUsers, type ScramVerifier } from '../policy/scram-check.js';
import type { ScramFamily } from '../protocol/types.js';
import { costKey, defaultCost, dummyHash, parseHash, type ScryptCost } from './password-hash.js';
import { newIterations, parseVerifier } from './scram.js';
import { decodeSecret, type StoredUser } from './user-record.js';

type Verifiers = ReadonlyMap<string, ScramVerifier>;

export class LoadedUsers implements Users, ScramUsers, CramMd5Users {
  readonly names: readonly string[];
  readonly dummyHash: string;
  readonly unknownSaltKey: Buffer;
  readonly #users: ReadonlyMap<string, StoredUser>;
  readonly #verifiers: Readonly<Record<ScramFamily, Verifiers>>;
  readonly #commonIterations: Readonly<Record<ScramFamily, number>>;
  readonly #secrets: ReadonlyMap<string, string>;

  constructor(users: ReadonlyMap<string, StoredUser>, unknownSaltKey: Buffer) {
    this.#users = users;
    this.names = [...users.keys()];
    const hashes = [...users.values()].map((user) => parseHash(user.scrypt)?.cost ?? defaultCost);
    this.dummyHash = dummyHash(mostCommon(hashes, costKey) ?? defaultCost);
    this.unknownSaltKey = unknownSaltKey;
    this.#verifiers = {
      'SCRAM-SHA-256': verifiersOf(users, 'SCRAM-SHA-256', 'scram-sha-256'),
      'SCRAM-SHA-1': verifiersOf(users, 'SCRAM-SHA-1', 'scram-sha-1'),
    };
    // Here, not when an unknown name comes: it must be no more work than a known one.
    this.#commonIterations = {
      'SCRAM-SHA-256': commonIterations(this.#verifiers['SCRAM-SHA-256']),
      'SCRAM-SHA-1': commonIterations(this.#verifiers['SCRAM-SHA-1']),
    };
    this.#secrets = secretsOf(users);
  }

  hashOf(name: string): string | undefined {
    return this.#users.get(name)?.scrypt;
  }

  verifierOf(family: ScramFamily, name: string): ScramVerifier | undefined {
    return this.#verifiers[family].get(name);
  }

  commonIterations(family: ScramFamily): number {
    return this.#commonIterations[family];
  }

  secretOf(name: string): string | undefined {
    return this.#secrets.get(name);
  }

  /** How many users have nothing that this mechanism could be checked against. */
  lacking(mechanism: string): number {
    if (showsPassword(mechanism)) return 0;
    const family = scramFamilies.find((known) => known === mechanism);
    const served = family === undefined ? this.#secrets : this.#verifiers[family];
    return this.#users.size - (family !== undefined || mechanism === 'CRAM-MD5' ? served.size : 0);
  }
}

function commonIterations(verifiers: Verifiers): number {
  const counts = [...verifiers.values()].map(({ iterations }) => iterations);
  return mostCommon(counts, String) ?? newIterations;
}

function secretsOf(users: ReadonlyMap<string, StoredUser>): Map<string, string> {
  const secrets = new Map<string, string>();
  for (const [name, user] of users) {
    const secret = decodeSecret(user['cram-md5'] ?? '');
    if (secret !== undefined) secrets.set(name, secret);
  }
  return secrets;
}

function verifiersOf(
  users: ReadonlyMap<string, StoredUser>,
  mechanism: ScramFamily,
  field: 'scram-sha-256' | 'scram-sha-1',
): Verifiers {
  const verifiers = new Map<string, ScramVerifier>();
  for (const [name, user] of users) {
    const verifier = parseVerifier(mechanism, user[field] ?? '');
    if (verifier !== undefined) verifiers.set(name, verifier);
  }
  return verifiers;
}

/** With one cost in the file, and `users add` knows but one, an unknown user costs exactly that. */
function mostCommon<T extends ScryptCost | number>(
  values: readonly T[],
  keyOf: (value: T) => string,
): T | undefined {
  const counts = new Map<string, { value: T; count: number }>();
  for (const value of values) {
    const seen = counts.get(keyOf(value)) ?? { value, count: 0 };
    seen.count++;
    counts.set(keyOf(value), seen);
  }
  const [most] = [...counts.values()].sort((a, b) => b.count - a.count);
  return most?.value;
}
