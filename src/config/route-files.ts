/** The files that routes name: certificate authorities and passwords. Looked at when the config is loaded. */
import { X509Certificate } from 'node:crypto';
import { resolve } from 'node:path';
import { describeError } from '../base/errors.js';
import type { Parts } from './checks.js';
import type { Path } from './faults.js';
import { readPem } from './files.js';
import { readSecretLine } from './secret-files.js';
import type { FaultList } from './validate.js';

/** @param base the folder that relative paths start at */
export function checkRouteFiles(parts: Parts, base: string, list: FaultList): void {
  for (const [name, route] of parts.routes)
    if (route?.tlsCa !== undefined) checkCa(['routes', name, 'tlsCa'], resolve(base, route.tlsCa), list);
}

/** A PEM file of authorities. */
export function checkCa(path: Path, file: string, list: FaultList): void {
  const pem = readPem(path, file, list);
  if (pem === undefined) return;
  const error = caError(pem.toString('latin1'));
  if (error !== undefined)
    list.add(
      path,
      `found a file that holds no usable certificate (${error}), expected PEM: BEGIN CERTIFICATE`,
    );
}

/** TLS skips what it cannot read in a list of authorities, and would then trust fewer than the operator means. */
function caError(pem: string): string | undefined {
  const blocks = pem.match(/-----BEGIN [A-Z0-9 ]*CERTIFICATE-----[^-]*-----END [A-Z0-9 ]*CERTIFICATE-----/g);
  if (blocks === null) return 'there is none';
  try {
    return blocks.every((block) => new X509Certificate(block).subject !== undefined)
      ? undefined
      : 'one without a subject';
  } catch (error) {
    return describeError(error);
  }
}

/** By route. */
export function readPasswords(parts: Parts, base: string, list: FaultList): Map<string, string> {
  const passwords = new Map<string, string>();
  for (const [name, route] of parts.routes) {
    const path = ['routes', name, 'auth', 'passwordFile'];
    const password = readSecretLine(path, route?.auth?.passwordFile, base, 'password', list);
    if (password !== undefined) passwords.set(name, password);
  }
  return passwords;
}
