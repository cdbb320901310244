/** `auth` of a file that passed every check, as the program uses it. */
import { resolve } from 'node:path';
import type { AuthConfig, IntrospectionConfig, JwksConfig, TokensConfig } from './config.js';
import { resolveAuthBackend } from './resolve-auth-backend.js';
import type { FileContents } from './resolve.js';
import type { FileAuth } from './schema.js';

type FileTokens = NonNullable<FileAuth['tokens']>;

/** @param base the folder that relative paths start at */
export function resolveAuthentication(
  file: FileAuth,
  contents: Pick<FileContents, 'introspectionSecret' | 'backendSecrets'>,
  base: string,
): AuthConfig {
  const { users, tokens } = file;
  return {
    mechanisms: [...new Set(file.mechanisms)],
    usersFile: users.file === undefined ? undefined : resolve(base, users.file),
    backend: resolveAuthBackend(file.backend, contents.backendSecrets, base),
    cacheMs: file.cache,
    tokens: tokens && resolveTokens(tokens, contents.introspectionSecret, base),
  };
}

function resolveTokens(file: FileTokens, secret: string | undefined, base: string): TokensConfig {
  const { jwks, introspection, scope, clockSkew, timeout } = file;
  const common = { scope, clockSkewMs: clockSkew, timeoutMs: timeout };
  if (jwks !== undefined) return { source: { kind: 'jwks', ...resolveJwks(jwks, base) }, ...common };
  if (introspection === undefined) throw new TypeError('the checks let tokens without a source through');
  return {
    source: { kind: 'introspection', ...resolveIntrospection(introspection, secret, base) },
    ...common,
  };
}

function resolveJwks(file: NonNullable<FileTokens['jwks']>, base: string): JwksConfig {
  const { url, file: keyFile, algorithms, ...rest } = file;
  if (url !== undefined) return { ...rest, keys: { kind: 'url', url }, algorithms: [...new Set(algorithms)] };
  if (keyFile === undefined) throw new TypeError('the checks let a key set without a place through');
  return {
    ...rest,
    keys: { kind: 'file', file: resolve(base, keyFile) },
    algorithms: [...new Set(algorithms)],
  };
}

function resolveIntrospection(
  file: NonNullable<FileTokens['introspection']>,
  secret: string | undefined,
  base: string,
): IntrospectionConfig {
  const { url, clientId, clientSecretFile, issuer, audience, userClaim, cacheFor } = file;
  const client =
    clientId === undefined || clientSecretFile === undefined || secret === undefined
      ? undefined
      : { id: clientId, secret, secretFile: resolve(base, clientSecretFile) };
  return { url, client, issuer, audience, userClaim, cacheMs: cacheFor };
}
