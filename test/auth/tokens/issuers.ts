import { HttpClient } from '../../../src/auth/http-client.js';
import type { AskIssuer } from '../../../src/auth/tokens/issuer.js';
import { lookup } from '../host-names.js';

/** Asks an endpoint with no gate in between. */
export function asking(url: string, timeoutMs = 5_000): AskIssuer {
  const client = new HttpClient({
    name: 'issuer',
    url,
    ca: undefined,
    connections: 100,
    maxAnswerBytes: 256 * 1024,
    lookup,
  });
  return (question) => client.ask(question, AbortSignal.timeout(timeoutMs));
}
