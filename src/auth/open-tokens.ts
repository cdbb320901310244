/** Where tokens are looked up, as the config says: its issuer's keys or its introspection, behind a gate. */
import type { TokensConfig } from '../config/config.js';
import type { TokenSource } from '../policy/tokens/token-check.js';
import type { Backend } from './backend.js';
import { HttpClient, type HttpQuestion } from './http-client.js';
import { openGate, type Surroundings } from './open-gate.js';
import { IntrospectionSource } from './tokens/introspection-source.js';
import type { AskIssuer, IssuerText } from './tokens/issuer.js';
import { openJwtSource } from './tokens/jwt-source.js';

// Of one worker, as auth.backend has them by default. Keys are one question at a time whoever asks (jose shares it).
const concurrent = 20;
const waiting = 500;
// A key set of an identity provider has some ten keys of 2 KiB with their certificates; an introspection far less.
const maxAnswerBytes = 256 * 1024;

export interface OpenedTokens {
  readonly source: TokenSource;
  close(): void;
}

/** Asks nobody yet. @throws PosternError TOKEN_SETUP */
export async function openTokens(config: TokensConfig, around: Surroundings): Promise<OpenedTokens> {
  const { source, scope, clockSkewMs, timeoutMs } = config;
  const settings = { scope, clockSkewMs };
  if (source.kind === 'introspection') {
    const { ask, close } = openIssuer(source.url, timeoutMs, around);
    return { source: new IntrospectionSource({ ...source, ...settings, ask }), close };
  }
  const { keys } = source;
  if (keys.kind === 'file') {
    const opened = await openJwtSource({ ...source, ...settings, keys });
    return { source: opened, close: () => undefined };
  }
  const { ask, close } = openIssuer(keys.url, timeoutMs, around);
  return { source: await openJwtSource({ ...source, ...settings, keys: { ...keys, ask } }), close };
}

function openIssuer(
  url: string,
  timeoutMs: number,
  around: Surroundings,
): { readonly ask: AskIssuer; readonly close: () => void } {
  const { lookup } = around;
  const name = new URL(url).host;
  const client = new HttpClient({
    name,
    url,
    ca: undefined,
    connections: concurrent,
    maxAnswerBytes,
    lookup,
  });
  const issuer: Backend<HttpQuestion, IssuerText> = {
    name: 'tokens',
    ask: async (question, signal) => ({ kind: 'ok', text: await client.ask(question, signal) }),
    close: () => client.close(),
  };
  const gate = openGate(issuer, 'tokens', { timeoutMs, concurrent, waiting }, around);
  return { ask: async (question) => (await gate.ask(question)).text, close: () => gate.close() };
}
