/**
 * By which mechanisms a client hands its password over: what each user of a file can be checked by, and all that a backend
 * can be asked with. The others show a proof, a token or a certificate.
 */

const passwordMechanisms: ReadonlySet<string> = new Set(['PLAIN', 'LOGIN']);

export function showsPassword(mechanism: string): boolean {
  return passwordMechanisms.has(mechanism);
}
