/**
 * SCRAM verifiers: what the server keeps so that it can check a client that never sends its password (RFC 5802 §3,
 * RFC 7677). Made from the start, because they cannot be made later from a hash. As text in RFC 5803's form:
 * `SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY`.
 */
import { createHash, createHmac, pbkdf2, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';

import { scramDigests, scramSaltBytes, type ScramVerifier } from '../policy/scram-check.js';
import type { ScramFamily } from '../protocol/types.js';

/** RFC 7677 §4 asks for at least 4096. More costs the client, a phone perhaps, at each log-in (here 12 ms for 10 000
 *  with SHA-256), less the server than who has stolen the file: to him this is the cheaper guess, not the scrypt hash. */
export const newIterations = 15_000;
const maxIterations = 10_000_000;

const derive = promisify(pbkdf2);

/** RFC 5802 §3. @param password prepared (base/prepare-string) */
export async function makeVerifier(
  mechanism: ScramFamily,
  password: string,
  salt: Buffer = randomBytes(scramSaltBytes),
  iterations: number = newIterations,
): Promise<ScramVerifier> {
  const digest = scramDigests[mechanism];
  const saltedPassword = await derive(password, salt, iterations, digest.bytes, digest.name);
  const clientKey = createHmac(digest.name, saltedPassword).update('Client Key').digest();
  return {
    iterations,
    salt,
    storedKey: createHash(digest.name).update(clientKey).digest(),
    serverKey: createHmac(digest.name, saltedPassword).update('Server Key').digest(),
  };
}

export function formatVerifier(mechanism: ScramFamily, verifier: ScramVerifier): string {
  const { iterations, salt, storedKey, serverKey } = verifier;
  const keys = `${storedKey.toString('base64')}:${serverKey.toString('base64')}`;
  return `${mechanism}$${iterations}:${salt.toString('base64')}$${keys}`;
}

/** Undefined when it is no verifier of this mechanism. */
export function parseVerifier(mechanism: ScramFamily, text: string): ScramVerifier | undefined {
  const [name, parameters = '', keys = '', more] = text.split('$');
  if (name !== mechanism || more !== undefined) return undefined;
  const [count = '', saltText = ''] = parameters.split(':', 2);
  const iterations = /^\d{1,8}$/.test(count) ? Number(count) : 0;
  const salt = fromBase64(saltText);
  const [storedKey, serverKey] = keys.split(':').map(fromBase64);
  if (salt === undefined || storedKey === undefined || serverKey === undefined) return undefined;
  const { bytes } = scramDigests[mechanism];
  const fits = storedKey.length === bytes && serverKey.length === bytes;
  return fits && iterations >= 4096 && iterations <= maxIterations
    ? { iterations, salt, storedKey, serverKey }
    : undefined;
}

/** Node decodes almost anything; what does not encode back to itself was no base64. */
function fromBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  return bytes.length > 0 && bytes.toString('base64') === text ? bytes : undefined;
}
