/**
 * One JSON object over HTTP, with a bound on everything that the other side decides: the wait for all of it, its bytes,
 * where it comes from (no redirect is followed). Whatever goes wrong is TOKEN_SOURCE, which can be tried again.
 */
import { describeError, PosternError } from '../../base/errors.js';

export interface JsonRequest {
  readonly url: string;
  /** GET where there is no body. */
  readonly body?: string;
  readonly headers: Readonly<Record<string, string>>;
  /** From the first byte of the request to the last of the answer. */
  readonly timeoutMs: number;
}

// A key set of an identity provider has some ten keys of 2 KiB with their certificates; an introspection far less.
const maxAnswerBytes = 256 * 1024;

/** The text of a 200. @throws PosternError TOKEN_SOURCE */
export async function requestJson({ url, body, headers, timeoutMs }: JsonRequest): Promise<string> {
  try {
    const response = await fetch(url, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { accept: 'application/json', ...headers },
      redirect: 'error',
      signal: AbortSignal.timeout(timeoutMs),
      ...(body === undefined ? {} : { body }),
    });
    if (response.status !== 200) {
      await response.body?.cancel();
      throw new Error(`the answer is HTTP ${response.status}`);
    }
    return await boundedText(response);
  } catch (error) {
    // `fetch failed` says nothing; why it did is its cause.
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    throw new PosternError('TOKEN_SOURCE', `${new URL(url).host}: ${describeError(cause)}`, error);
  }
}

async function boundedText(response: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  // A reader rather than text(): that would take whatever comes.
  for await (const part of response.body ?? []) {
    if (!(part instanceof Uint8Array)) throw new TypeError('the answer is no bytes');
    bytes += part.length;
    if (bytes > maxAnswerBytes) throw new Error(`the answer is longer than ${maxAnswerBytes} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}
