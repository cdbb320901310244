/**
 * What is kept of one user: the hash that a password is checked against, and what each other mechanism needs of him.
 * Made from a password, because none can be made later from another; read back line by line. The file around it is
 * users-file.ts's.
 */
import { isNode, isScalar, type Pair, type YAMLMap } from 'yaml';

import { PosternError } from '../base/errors.js';
import { prepareString } from '../base/prepare-string.js';
import type { ScramFamily } from '../protocol/types.js';
import { hashPassword, parseHash } from './password-hash.js';
import { formatVerifier, makeVerifier, parseVerifier } from './scram.js';

/** What a user has only where the operator asked for it: each makes a stolen file worth more. */
export type ExtraMechanism = 'SCRAM-SHA-1' | 'CRAM-MD5';

export interface StoredUser {
  readonly scrypt: string;
  readonly 'scram-sha-256': string;
  /** A cheaper guess for a thief than the two above. */
  readonly 'scram-sha-1'?: string;
  /** The password itself, in base64 against eyes that pass by: RFC 2195 needs it. */
  readonly 'cram-md5'?: string;
}

type Field = keyof StoredUser;

/** Says whether a value is what its key promises. */
const readers: Readonly<Record<Field, (value: string) => boolean>> = {
  scrypt: (value) => parseHash(value) !== undefined,
  'scram-sha-256': (value) => parseVerifier('SCRAM-SHA-256', value) !== undefined,
  'scram-sha-1': (value) => parseVerifier('SCRAM-SHA-1', value) !== undefined,
  'cram-md5': (value) => decodeSecret(value) !== undefined,
};
const fields = Object.keys(readers);
const remedy = 'set the password again with `postern users add`';

export type Fault = (offset: number | undefined, message: string) => void;

/** @throws PosternError USERS_FILE when this can be no password */
export async function makeUser(password: string, extras: readonly ExtraMechanism[]): Promise<StoredUser> {
  const prepared = prepareString(password);
  if (prepared === undefined)
    throw new PosternError('USERS_FILE', 'a password is 1 to 1024 bytes without control characters');
  const verifier = async (mechanism: ScramFamily): Promise<string> =>
    formatVerifier(mechanism, await makeVerifier(mechanism, prepared));
  return {
    scrypt: await hashPassword(prepared),
    'scram-sha-256': await verifier('SCRAM-SHA-256'),
    ...(extras.includes('SCRAM-SHA-1') ? { 'scram-sha-1': await verifier('SCRAM-SHA-1') } : {}),
    ...(extras.includes('CRAM-MD5') ? { 'cram-md5': Buffer.from(prepared).toString('base64') } : {}),
  };
}

/** Undefined when it is none. */
export function decodeSecret(text: string): string | undefined {
  const secret = Buffer.from(text, 'base64').toString('utf8');
  const isItself = Buffer.from(secret).toString('base64') === text;
  return isItself && prepareString(secret) === secret ? secret : undefined;
}

/** @param at where the user's name stands, for what is missing */
export function readUser(name: string, lines: YAMLMap, at: number | undefined, fault: Fault): StoredUser {
  const found = new Map(lines.items.map((item) => [keyOf(item), item]));
  for (const [key, item] of found)
    if (!fields.includes(key)) fault(offsetOf(item.key), `${name}: unknown key ${key}`);
  const optional = (field: Field): string | undefined => {
    const item = found.get(field);
    if (item === undefined) return undefined;
    const value = isScalar(item.value) && typeof item.value.value === 'string' ? item.value.value : '';
    if (!readers[field](value)) fault(offsetOf(item.key), `${name}: ${field} is damaged; ${remedy}`);
    return value;
  };
  const required = (field: Field): string => {
    const value = optional(field);
    if (value === undefined) fault(at, `${name}: ${field} is missing; ${remedy}`);
    return value ?? '';
  };
  const user = { scrypt: required('scrypt'), 'scram-sha-256': required('scram-sha-256') };
  const sha1 = optional('scram-sha-1');
  const secret = optional('cram-md5');
  return {
    ...user,
    ...(sha1 === undefined ? {} : { 'scram-sha-1': sha1 }),
    ...(secret === undefined ? {} : { 'cram-md5': secret }),
  };
}

/** What stands below a name, in words. */
export const expectedFields = 'scrypt, scram-sha-256, and scram-sha-1 and cram-md5 where you asked for them';

export function keyOf(pair: Pair): string {
  return isScalar(pair.key) ? String(pair.key.value) : '';
}

export function offsetOf(node: unknown): number | undefined {
  return isNode(node) ? node.range?.[0] : undefined;
}
