/**
 * SCRAM verifiers: what the server keeps so that it can check a client that never sends its password (RFC 5802 §3,
 * RFC 7677). Made from the start, because they cannot be made later from a hash. As text in RFC 5803's form:
 * `SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY`.
 */
import { createHash, createHmac, pbkdf2, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';

import type { ScramVerifier } from '../policy/scram-check.js';

export const scramMechanisms = ['SCRAM-SHA-256', 'SCRAM-SHA-1'] as const;
export type ScramMechanism = (typeof scramMechanisms)[number];

/** RFC 7677 §4 asks for at least 4096. More costs the client, a phone perhaps, at each log-in (here 12 ms for 10 000
 *  with SHA-256), less the server than who has stolen the file: to him this is the cheaper guess, not the scrypt hash. */
export const newIterations = 15_000;
const saltBytes = 16;
const maxIterations = 10_000_000;

interface Digest {
  readonly name: 'sha256' | 'sha1';
  readonly bytes: number;
}

const digests: Readonly<Record<ScramMechanism, Digest>> = {
  'SCRAM-SHA-256': { name: 'sha256', bytes: 32 },
  'SCRAM-SHA-1': { name: 'sha1', bytes: 20 },
};

const derive = promisify(pbkdf2);

/** RFC 5802 §3. @param password prepared (policy/prepare-string) */
export async function makeVerifier(
  mechanism: ScramMechanism,
  password: string,
  salt: Buffer = randomBytes(saltBytes),
  iterations: number = newIterations,
): Promise<ScramVerifier> {
  const digest = digests[mechanism];
  const saltedPassword = await derive(password, salt, iterations, digest.bytes, digest.name);
  const clientKey = createHmac(digest.name, saltedPassword).update('Client Key').digest();
  return {
    iterations,
    salt,
    storedKey: createHash(digest.name).update(clientKey).digest(),
    serverKey: createHmac(digest.name, saltedPassword).update('Server Key').digest(),
  };
}

export function formatVerifier(mechanism: ScramMechanism, verifier: ScramVerifier): string {
  const { iterations, salt, storedKey, serverKey } = verifier;
  const keys = `${storedKey.toString('base64')}:${serverKey.toString('base64')}`;
  return `${mechanism}$${iterations}:${salt.toString('base64')}$${keys}`;
}

/** Undefined when it is no verifier of this mechanism. */
export function parseVerifier(mechanism: ScramMechanism, text: string): ScramVerifier | undefined {
  const [name, parameters = '', keys = '', more] = text.split('$');
  if (name !== mechanism || more !== undefined) return undefined;
  const [count = '', saltText = ''] = parameters.split(':', 2);
  const iterations = /^\d{1,8}$/.test(count) ? Number(count) : 0;
  const salt = fromBase64(saltText);
  const [storedKey, serverKey] = keys.split(':').map(fromBase64);
  if (salt === undefined || storedKey === undefined || serverKey === undefined) return undefined;
  const { bytes } = digests[mechanism];
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
