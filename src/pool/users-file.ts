/**
 * The users file: who may log in, and what each password is checked against. YAML, mode 0600, replaced as a whole
 * (written beside, fsynced, renamed), so that neither a crash nor a reader at the wrong moment sees half of it. The
 * CLI changes it, a worker reads it once at start.
 *
 *   unknown-salt-key: BASE64
 *   users:
 *     alice@example.org:
 *       scrypt: $scrypt$ln=15,r=8,p=1$SALT$HASH
 *       scram-sha-256: SCRAM-SHA-256$15000:SALT$STOREDKEY:SERVERKEY
 *       scram-sha-1: SCRAM-SHA-1$15000:SALT$STOREDKEY:SERVERKEY    (where it was asked for)
 *       cram-md5: BASE64                                           (where it was asked for)
 */
import { createHash, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';

import { isMap, isScalar, LineCounter, parseDocument, stringify, type Pair, type YAMLMap } from 'yaml';

import { describeError, errorCodeOf, PosternError } from '../base/errors.js';
import { prepareString } from '../base/prepare-string.js';
import { LoadedUsers } from './loaded-users.js';
import { replaceFile, type Change } from './replace-file.js';
import {
  expectedFields,
  keyOf,
  makeUser,
  offsetOf,
  readUser,
  type ExtraMechanism,
  type Fault,
  type StoredUser,
} from './user-record.js';

interface UsersFile {
  readonly users: Map<string, StoredUser>;
  /**
   * Makes the salts that names which are no users are told at SCRAM: every worker and every server with this file must
   * tell the same ones, and go on when users come and go.
   */
  readonly unknownSaltKey: Buffer;
}

const saltKeyBytes = 32;
/** So many faults are shown at once. */
const maxFaults = 20;

const heading = `# Who may log in to Postern. Made by \`postern users add\`. Whoever reads it can try out passwords at leisure:
# keep it readable for the service alone.
`;

/** @throws PosternError USERS_FILE, each fault with its line */
export async function loadUsers(file: string): Promise<LoadedUsers> {
  const { users, unknownSaltKey } = await readUsers(file);
  return new LoadedUsers(users, unknownSaltKey);
}

export interface AddOptions {
  /** Where root makes the file, it is this folder's owner's, or the file's own. */
  readonly newOwnerLike?: string | undefined;
  /** What the user can log in with beside PLAIN, LOGIN and SCRAM-SHA-256. */
  readonly extras?: readonly ExtraMechanism[];
}

/** Makes the file when there is none. @throws PosternError USERS_FILE for a bad name, password or file */
export async function addUser(
  file: string,
  name: string,
  password: string,
  options: AddOptions = {},
): Promise<'added' | 'replaced'> {
  const prepared = prepareString(name);
  if (prepared === undefined)
    throw new PosternError('USERS_FILE', 'a user name is 1 to 1024 bytes without control characters');
  const user = await makeUser(password, options.extras ?? []);
  const change: Change<'added' | 'replaced'> = (before) => {
    const content = before === undefined ? emptyFile() : parseUsers(file, before);
    const outcome = content.users.has(prepared) ? 'replaced' : 'added';
    content.users.set(prepared, user);
    return { text: formatUsers(content), outcome };
  };
  return replaceFile(file, change, options.newOwnerLike);
}

/** In the file's order. @throws PosternError USERS_FILE */
export async function listUsers(file: string): Promise<string[]> {
  return [...(await readUsers(file)).users.keys()];
}

/** False when there is no such user. @throws PosternError USERS_FILE */
export async function removeUser(file: string, name: string): Promise<boolean> {
  const prepared = prepareString(name) ?? '';
  return replaceFile(file, (before) => {
    if (before === undefined) throw unreadable(file, 'there is no such file');
    const content = parseUsers(file, before);
    return content.users.delete(prepared)
      ? { text: formatUsers(content), outcome: true }
      : { text: undefined, outcome: false };
  });
}

function emptyFile(): UsersFile {
  return { users: new Map(), unknownSaltKey: randomBytes(saltKeyBytes) };
}

function formatUsers({ users, unknownSaltKey }: UsersFile): string {
  const content = { 'unknown-salt-key': unknownSaltKey.toString('base64'), users };
  return heading + stringify(content, { lineWidth: 0 });
}

async function readUsers(file: string): Promise<UsersFile> {
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
function parseUsers(file: string, text: string): UsersFile {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, stringKeys: true });
  const faults: string[] = [];
  const fault = (offset: number | undefined, message: string): void => {
    faults.push(`${file}:${lines.linePos(offset ?? 0).line}: ${message}`);
  };
  for (const error of document.errors) fault(error.pos[0], error.message);
  const { contents } = document;
  if (faults.length === 0 && !(isMap(contents) && contents.has('users')))
    fault(0, 'expected `users:` and a user name below it');
  if (faults.length === 0 && isMap(contents)) {
    const users = collect(contents, fault);
    const unknownSaltKey = saltKey(contents, text, fault);
    if (faults.length === 0) return { users, unknownSaltKey };
  }
  throw new PosternError('USERS_FILE', faults.slice(0, maxFaults).join('\n'));
}

function collect(root: YAMLMap, fault: Fault): Map<string, StoredUser> {
  const users = new Map<string, StoredUser>();
  const map = root.get('users', true);
  // `users:` with nothing below: the last one was removed.
  if (isScalar(map) && map.value === null) return users;
  if (!isMap(map)) {
    fault(offsetOf(map), 'expected user names below `users:`');
    return users;
  }
  for (const pair of map.items) collectUser(pair, users, fault);
  return users;
}

function collectUser(pair: Pair, users: Map<string, StoredUser>, fault: Fault): void {
  const name = keyOf(pair);
  const at = offsetOf(pair.key);
  if (prepareString(name) !== name)
    return fault(at, 'this is no user name: empty, too long, or not in its normal form');
  if (!isMap(pair.value)) return fault(at, `${name}: expected ${expectedFields} below the name`);
  users.set(name, readUser(name, pair.value, at, fault));
}

/** A file without one was made by hand, or before there was one: what stands in it serves until it is next written. */
function saltKey(root: YAMLMap, text: string, fault: Fault): Buffer {
  const node = root.get('unknown-salt-key', true);
  if (node === undefined) return createHash('sha256').update(text).digest();
  const value = isScalar(node) && typeof node.value === 'string' ? node.value : '';
  const key = Buffer.from(value, 'base64');
  if (key.length !== saltKeyBytes || key.toString('base64') !== value)
    fault(
      offsetOf(node),
      `unknown-salt-key is damaged; remove the line, \`postern users add\` makes another`,
    );
  return key;
}
