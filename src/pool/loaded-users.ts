/** The users as they were when the file was read: what each mechanism's check looks up. In memory, changed by nobody. */
import type { Users } from '../policy/authenticate.js';
import type { CramMd5Users } from '../policy/cram-md5-check.js';
import type { ScramUsers, ScramVerifier } from '../policy/scram-check.js';
import { costKey, defaultCost, dummyHash, parseHash, type ScryptCost } from './password-hash.js';
import { newIterations, parseVerifier, scramMechanisms, type ScramMechanism } from './scram.js';
import { decodeSecret, type StoredUser } from './user-record.js';

type Verifiers = ReadonlyMap<string, ScramVerifier>;

export class LoadedUsers implements Users, ScramUsers, CramMd5Users {
  readonly names: readonly string[];
  readonly dummyHash: string;
  readonly unknownSaltKey: Buffer;
  readonly #users: ReadonlyMap<string, StoredUser>;
  readonly #verifiers: Readonly<Record<ScramMechanism, Verifiers>>;

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
  }

  hashOf(name: string): string | undefined {
    return this.#users.get(name)?.scrypt;
  }

  verifierOf(family: ScramMechanism, name: string): ScramVerifier | undefined {
    return this.#verifiers[family].get(name);
  }

  commonIterations(family: ScramMechanism): number {
    const counts = [...this.#verifiers[family].values()].map(({ iterations }) => iterations);
    return mostCommon(counts, String) ?? newIterations;
  }

  secretOf(name: string): string | undefined {
    const secret = this.#users.get(name)?.['cram-md5'];
    return secret === undefined ? undefined : decodeSecret(secret);
  }

  /** How many users have nothing that this mechanism could be checked against. */
  lacking(mechanism: string): number {
    if (mechanism === 'PLAIN' || mechanism === 'LOGIN') return 0;
    const family = scramMechanisms.find((known) => known === mechanism);
    if (family !== undefined) return this.#users.size - this.#verifiers[family].size;
    const served = [...this.#users.values()].filter((user) => user['cram-md5'] !== undefined).length;
    return this.#users.size - (mechanism === 'CRAM-MD5' ? served : 0);
  }
}

function verifiersOf(
  users: ReadonlyMap<string, StoredUser>,
  mechanism: ScramMechanism,
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
