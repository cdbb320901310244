/** What a call of the admin HTTP is answered with. Made by the handlers, sent by server.ts. Pure. */
import { errorCodes, PosternError } from '../../base/errors.js';
import type { QueueAnswer, QueueValue } from '../../base/messages.js';

export interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string | Buffer;
  /** What the log line of a change says beside the path. */
  readonly logged?: Readonly<Record<string, unknown>>;
}

export function json(status: number, value: unknown, logged: Answer['logged'] = {}): Answer {
  const contentType = 'application/json; charset=utf-8';
  return { status, contentType, body: `${JSON.stringify(value)}\n`, logged };
}

export function text(status: number, body: string): Answer {
  return { status, contentType: 'text/plain; charset=utf-8', body: `${body}\n` };
}

/** `code` is stable, for programs; `message` a sentence for people. `more` joins them in the error object. */
export function failure(
  status: number,
  code: string,
  message: string,
  more: Record<string, unknown> = {},
): Answer {
  return json(status, { error: { code, message, ...more } }, { code });
}

export function badRequest(message: string): Answer {
  return failure(400, 'BAD_REQUEST', message);
}

const retryableCodes = new Set(
  Object.entries(errorCodes)
    .filter(([, { retryable }]) => retryable)
    .map(([code]) => code),
);

/** What was refused: not there, not now, or not in this state. */
function refusal({ code, message }: { code: string; message: string }): Answer {
  const status = code === 'NOT_FOUND' ? 404 : retryableCodes.has(code) ? 503 : 409;
  return failure(status, code, message);
}

/** The value as `render` puts it, JSON as it is by default; or the refusal. */
export function fromQueue(
  answer: QueueAnswer,
  render: (value: QueueValue) => Answer = (value) => json(200, value),
): Answer {
  return answer.ok ? render(answer.value) : refusal(answer);
}

/** What the world did becomes a refusal; all else is a bug and is thrown on. */
export async function orRefusal(work: () => Promise<Answer>): Promise<Answer> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof PosternError) return refusal(error);
    throw error;
  }
}
