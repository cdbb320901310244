/** The files that a config names and whose content is not in it: what workers read, and so what a reload reads again. */
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
