/**
 * The files that a config names and whose content is not in it: what workers read, and so what a reload reads again; and
 * which of them differ from what they were.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Config, TlsConfig } from './config.js';

/** Absolute paths, each once, the users file and certificates first. */
export function namedFiles(config: Config): string[] {
  const { auth, tls, routes, notifications } = config;
  const { backend, tokens } = auth;
  const found = [
    auth.usersFile,
    ...(tls === undefined ? [] : tlsFiles(tls)),
    ...Object.values(routes).map(({ tlsCa }) => tlsCa),
    backend === undefined || backend.kind === 'dovecot' ? undefined : backend.ca,
    tokens?.source.kind === 'jwks' && tokens.source.keys.kind === 'file'
      ? tokens.source.keys.file
      : undefined,
    notifications.templateFile,
  ];
  return [...new Set(found.filter((file) => file !== undefined))];
}

function tlsFiles(tls: TlsConfig): (string | undefined)[] {
  const certificates = [tls, ...tls.sni].flatMap(({ alternatives, ...own }) => [own, ...alternatives]);
  return [...certificates.flatMap(({ certificate, key }) => [certificate, key]), tls.clientCa];
}

/** By path: a digest of what a file holds. What cannot be read is not in it. */
export type FileDigests = ReadonlyMap<string, string>;

/** Of files that the loading of the config, or a worker, has read whole too. */
export function digestFiles(files: readonly string[]): FileDigests {
  const digests = new Map<string, string>();
  for (const file of files) {
    try {
      digests.set(file, createHash('sha256').update(readFileSync(file)).digest('base64'));
    } catch {
      // Whoever needs it says what is wrong with it.
    }
  }
  return digests;
}

/** Those that both know, and that are not the same. */
export function differingFiles(before: FileDigests, after: FileDigests): string[] {
  return [...after].flatMap(([file, digest]) => {
    const known = before.get(file);
    return known === undefined || known === digest ? [] : [file];
  });
}
