/**
 * The users file: who may log in, and what each password is checked against. YAML, mode 0600, replaced as a whole
 * (written beside, fsynced, renamed), so that neither a crash nor a reader at the wrong moment sees half of it. The
 * CLI changes it, a worker reads it once at start.
 *
 *   users:
 *     alice@example.org:
 *       scrypt: $scrypt$ln=15,r=8,p=1$SALT$HASH
 *       scram-sha-256: SCRAM-SHA-256$15000:SALT$STOREDKEY:SERVERKEY
 *       scram-sha-1: SCRAM-SHA-1$15000:SALT$STOREDKEY:SERVERKEY
 */
import { readFile } from 'node:fs/promises';

import { isMap, isNode, isScalar, LineCounter, parseDocument, stringify, type Pair } from 'yaml';

import { describeError, errorCodeOf, PosternError } from '../base/errors.js';
import type { Users } from '../policy/authenticate.js';
import { prepareString } from '../policy/prepare-string.js';
import {
  costKey,
  defaultCost,
  dummyHash,
  hashPassword,
  parseHash,
  type ScryptCost,
} from './password-hash.js';
import { replaceFile, type Change } from './replace-file.js';
import {
  formatVerifier,
  makeVerifier,
  parseVerifier,
  scramMechanisms,
  type ScramMechanism,
} from './scram.js';

/** One user's lines, each checked. */
interface StoredUser {
  readonly scrypt: string;
  readonly 'scram-sha-256': string;
  readonly 'scram-sha-1': string;
}

/** Says whether a value is what its key promises. */
const readers: Readonly<Record<keyof StoredUser, (value: string) => boolean>> = {
  scrypt: (value) => parseHash(value) !== undefined,
  'scram-sha-256': (value) => parseVerifier('SCRAM-SHA-256', value) !== undefined,
  'scram-sha-1': (value) => parseVerifier('SCRAM-SHA-1', value) !== undefined,
};
const fields = Object.keys(readers);
/** So many faults are shown at once. */
const maxFaults = 20;

const heading = `# Who may log in to Postern. Made by \`postern users add\`. Whoever reads it can try out passwords at leisure:
# keep it readable for the service alone.
`;

/** @throws PosternError USERS_FILE, each fault with its line */
export async function loadUsers(file: string): Promise<Users> {
  return new LoadedUsers(await readUsers(file));
}

/**
 * Makes the file when there is none; then, where root does it, for the owner of the folder `newOwnerLike`, or of the
 * file's own. @throws PosternError USERS_FILE for a bad name, password or file
 */
export async function addUser(
  file: string,
  name: string,
  password: string,
  newOwnerLike?: string,
): Promise<'added' | 'replaced'> {
  const prepared = prepareString(name);
  if (prepared === undefined)
    throw new PosternError('USERS_FILE', 'a user name is 1 to 1024 bytes without control characters');
  const user = await makeUser(password);
  const change: Change<'added' | 'replaced'> = (before) => {
    const users = before === undefined ? new Map<string, StoredUser>() : parseUsers(file, before);
    const outcome = users.has(prepared) ? 'replaced' : 'added';
    users.set(prepared, user);
    return { text: formatUsers(users), outcome };
  };
  return replaceFile(file, change, newOwnerLike);
}

/** In the file's order. @throws PosternError USERS_FILE */
export async function listUsers(file: string): Promise<string[]> {
  return [...(await readUsers(file)).keys()];
}

/** False when there is no such user. @throws PosternError USERS_FILE */
export async function removeUser(file: string, name: string): Promise<boolean> {
  const prepared = prepareString(name) ?? '';
  return replaceFile(file, (before) => {
    if (before === undefined) throw unreadable(file, 'there is no such file');
    const users = parseUsers(file, before);
    return users.delete(prepared)
      ? { text: formatUsers(users), outcome: true }
      : { text: undefined, outcome: false };
  });
}

class LoadedUsers implements Users {
  readonly names: readonly string[];
  readonly dummyHash: string;
  readonly #users: ReadonlyMap<string, StoredUser>;

  constructor(users: ReadonlyMap<string, StoredUser>) {
    this.#users = users;
    this.names = [...users.keys()];
    this.dummyHash = dummyHash(commonCost(users));
  }

  hashOf(name: string): string | undefined {
    return this.#users.get(name)?.scrypt;
  }

  /** The file's form gives each user all three; a mechanism beyond these is not ours. */
  serves(mechanism: string): boolean {
    return ['PLAIN', 'LOGIN', ...scramMechanisms].includes(mechanism);
  }
}

/** What most hashes cost. With one cost in the file, and `users add` knows but one, an unknown user costs exactly that. */
function commonCost(users: ReadonlyMap<string, StoredUser>): ScryptCost {
  const counts = new Map<string, { cost: ScryptCost; count: number }>();
  for (const user of users.values()) {
    const cost = parseHash(user.scrypt)?.cost ?? defaultCost;
    const seen = counts.get(costKey(cost)) ?? { cost, count: 0 };
    seen.count++;
    counts.set(costKey(cost), seen);
  }
  const [most] = [...counts.values()].sort((a, b) => b.count - a.count);
  return most?.cost ?? defaultCost;
}

async function makeUser(password: string): Promise<StoredUser> {
  const prepared = prepareString(password);
  if (prepared === undefined)
    throw new PosternError('USERS_FILE', 'a password is 1 to 1024 bytes without control characters');
  const verifier = async (mechanism: ScramMechanism): Promise<string> =>
    formatVerifier(mechanism, await makeVerifier(mechanism, prepared));
  return {
    scrypt: await hashPassword(prepared),
    'scram-sha-256': await verifier('SCRAM-SHA-256'),
    'scram-sha-1': await verifier('SCRAM-SHA-1'),
  };
}

function formatUsers(users: ReadonlyMap<string, StoredUser>): string {
  return heading + stringify(new Map([['users', users]]), { lineWidth: 0 });
}

async function readUsers(file: string): Promise<Map<string, StoredUser>> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    const missing = errorCodeOf(error) === 'ENOENT';
    throw unreadable(
      file,
      missing ? 'there is no such file; `postern users add NAME` makes it' : describeError(error),
      error,
    );
  }
  return parseUsers(file, text);
}

function unreadable(file: string, why: string, cause?: unknown): PosternError {
  return new PosternError('USERS_FILE', `the users file ${file} cannot be read: ${why}`, cause);
}

/** @throws PosternError USERS_FILE */
function parseUsers(file: string, text: string): Map<string, StoredUser> {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, stringKeys: true });
  const faults: string[] = [];
  const fault = (offset: number | undefined, message: string): void => {
    faults.push(`${file}:${lines.linePos(offset ?? 0).line}: ${message}`);
  };
  for (const error of document.errors) fault(error.pos[0], error.message);
  const users = faults.length === 0 ? collect(document.contents, fault) : new Map<string, StoredUser>();
  if (faults.length === 0) return users;
  throw new PosternError('USERS_FILE', faults.slice(0, maxFaults).join('\n'));
}

type Fault = (offset: number | undefined, message: string) => void;

function collect(root: unknown, fault: Fault): Map<string, StoredUser> {
  const users = new Map<string, StoredUser>();
  const map = isMap(root) ? root.get('users', true) : undefined;
  if (!isMap(root) || !root.has('users')) {
    fault(0, 'expected `users:` and a user name below it');
    return users;
  }
  // `users:` with nothing below: the last one was removed.
  if (isScalar(map) && map.value === null) return users;
  if (!isMap(map)) {
    fault(rangeOf(map), 'expected user names below `users:`');
    return users;
  }
  for (const pair of map.items) collectUser(pair, users, fault);
  return users;
}

function collectUser(pair: Pair, users: Map<string, StoredUser>, fault: Fault): void {
  const name = keyOf(pair);
  const at = rangeOf(pair.key);
  if (prepareString(name) !== name)
    return fault(at, 'this is no user name: empty, too long, or not in its normal form');
  if (!isMap(pair.value)) return fault(at, `${name}: expected ${fields.join(', ')} below the name`);
  const found = new Map(pair.value.items.map((item) => [keyOf(item), item]));
  for (const [key, item] of found)
    if (!fields.includes(key)) fault(rangeOf(item.key), `${name}: unknown key ${key}`);
  const read = (field: keyof StoredUser): string => readField(name, field, found.get(field), at, fault);
  const user = {
    scrypt: read('scrypt'),
    'scram-sha-256': read('scram-sha-256'),
    'scram-sha-1': read('scram-sha-1'),
  };
  users.set(name, user);
}

function readField(
  name: string,
  field: keyof StoredUser,
  item: Pair | undefined,
  at: number | undefined,
  fault: Fault,
): string {
  const value = isScalar(item?.value) && typeof item.value.value === 'string' ? item.value.value : '';
  if (item === undefined)
    fault(at, `${name}: ${field} is missing; set the password again with \`postern users add\``);
  else if (!readers[field](value))
    fault(
      rangeOf(item.key),
      `${name}: ${field} is damaged; set the password again with \`postern users add\``,
    );
  return value;
}

function keyOf(pair: Pair): string {
  return isScalar(pair.key) ? String(pair.key.value) : '';
}

function rangeOf(node: unknown): number | undefined {
  return isNode(node) ? node.range?.[0] : undefined;
}
