/**
 * scrypt hashes as text: `$scrypt$ln=15,r=8,p=1$SALT$HASH` (salt and hash in base64 without padding). Makes, reads and
 * checks them. Used by the users file (main thread, at `users add`) and by the password task (pool threads).
 */
import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';

/** N = 2^15, r = 8, p = 1: 32 MiB and 116 ms on the 2-core build machine (2^14: 57 ms, 2^16: 249 ms). A mail client
 *  logs in again and again, the cache in Authenticator answers most of that; the cost is for who steals the file. */
export const defaultCost: ScryptCost = { log2N: 15, r: 8, p: 1 };

const saltBytes = 16;
const hashBytes = 32;
/** A hand-made hash may cost at most this much memory, and 16 times p: one log-in must not take the machine down. */
const maxMemoryBytes = 256 * 2 ** 20;

export interface ScryptCost {
  readonly log2N: number;
  readonly r: number;
  readonly p: number;
}

export interface ScryptHash {
  readonly cost: ScryptCost;
  readonly salt: Buffer;
  readonly hash: Buffer;
}

/** @param password prepared (base/prepare-string) */
export async function hashPassword(password: string, cost: ScryptCost = defaultCost): Promise<string> {
  const salt = randomBytes(saltBytes);
  return formatHash({ cost, salt, hash: await derive(password, salt, cost, hashBytes) });
}

/** Costs the same, fits nobody: random bytes in the place of a hash. */
export function dummyHash(cost: ScryptCost): string {
  return formatHash({ cost, salt: randomBytes(saltBytes), hash: randomBytes(hashBytes) });
}

/** @throws TypeError when the hash is not one of ours: users-file has checked them all. */
export async function verifyPassword(password: string, text: string): Promise<boolean> {
  const stored = parseHash(text);
  if (stored === undefined) throw new TypeError('not a scrypt hash');
  const derived = await derive(password, stored.salt, stored.cost, stored.hash.length);
  return timingSafeEqual(derived, stored.hash);
}

/** Undefined when it is not a hash, or one whose cost is out of bounds. */
export function parseHash(text: string): ScryptHash | undefined {
  const match =
    /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$/.exec(
      text,
    );
  if (match === null) return undefined;
  const [, ln = '', r = '', p = '', salt = '', hash = ''] = match;
  const cost = { log2N: Number(ln), r: Number(r), p: Number(p) };
  if (!isBearable(cost)) return undefined;
  return { cost, salt: Buffer.from(salt, 'base64'), hash: Buffer.from(hash, 'base64') };
}

export function costKey(cost: ScryptCost): string {
  return `ln=${cost.log2N},r=${cost.r},p=${cost.p}`;
}

function isBearable(cost: ScryptCost): boolean {
  return cost.log2N >= 1 && cost.r >= 1 && cost.p >= 1 && cost.p <= 16 && memoryBytes(cost) <= maxMemoryBytes;
}

/** RFC 7914 §2: N blocks of 128 r bytes. */
function memoryBytes(cost: ScryptCost): number {
  return 128 * 2 ** cost.log2N * cost.r;
}

function formatHash(hash: ScryptHash): string {
  return `$scrypt$${costKey(hash.cost)}$${unpadded(hash.salt)}$${unpadded(hash.hash)}`;
}

function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replaceAll('=', '');
}

function derive(password: string, salt: Buffer, cost: ScryptCost, length: number): Promise<Buffer> {
  const options = { N: 2 ** cost.log2N, r: cost.r, p: cost.p, maxmem: memoryBytes(cost) + 2 ** 20 };
  return new Promise((resolve, reject) => {
    scrypt(password, salt, length, options, (error, derived) => (error ? reject(error) : resolve(derived)));
  });
}
