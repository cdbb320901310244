/**
 * The bearer token of the admin API: the operator's from the config, or one of ours, made once and kept in
 * `<dataDir>/admin.token` where the CLI reads it. Whoever can read that file may steer the service, so it is 0600.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { chmod, open, readFile, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { syncDirectory } from '../../base/directory.js';
import { describeError, errorCodeOf, PosternError } from '../../base/errors.js';

const tokenBytes = 32;
const tokenPattern = /^[A-Za-z0-9_-]{43,128}$/;

export function tokenFile(dataDir: string): string {
  return join(dataDir, 'admin.token');
}

/**
 * The token of an earlier run, or a new one, on disk before this resolves.
 * @param dataDir exists
 * @throws PosternError DATA_DIR_UNUSABLE
 */
export async function keptToken(dataDir: string): Promise<string> {
  const file = tokenFile(dataDir);
  try {
    return (await readToken(file)) ?? (await makeToken(file));
  } catch (error) {
    throw new PosternError(
      'DATA_DIR_UNUSABLE',
      `the admin token ${file} cannot be read or written: ${describeError(error)}`,
      error,
    );
  }
}

/** Undefined when there is none, or the file holds something else: then a new one takes its place. */
async function readToken(file: string): Promise<string | undefined> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (errorCodeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
  const token = text.trim();
  if (!tokenPattern.test(token)) return undefined;
  await chmod(file, 0o600);
  return token;
}

async function makeToken(file: string): Promise<string> {
  const token = randomBytes(tokenBytes).toString('base64url');
  const temporary = `${file}.${randomBytes(6).toString('hex')}.tmp`;
  const handle = await open(temporary, 'wx', 0o600);
  try {
    await handle.writeFile(`${token}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, file);
  await syncDirectory(dirname(file));
  return token;
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/** Tells a request's Authorization header from the token in a time that does not depend on where they differ. */
export class TokenCheck {
  readonly #digest: Buffer;

  constructor(token: string) {
    this.#digest = digest(token);
  }

  /** @param authorization the header's value: `Bearer TOKEN`, RFC 6750 §2.1; the scheme is case-insensitive. */
  accepts(authorization: string | undefined): boolean {
    const given = /^bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
    return given !== undefined && timingSafeEqual(digest(given), this.#digest);
  }
}
