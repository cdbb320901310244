/**
 * From the JSON of an export to a StoredEnvelope, or to the reason why it is none. What it lets through is written
 * into MAIL and RCPT commands, headers and logs later, so no text holds a control character, and a field that is not
 * known is refused rather than lost. Pure; queue-imports.ts calls it.
 */
import { z } from 'zod';

import { PosternError } from '../base/errors.js';
import { PathParser } from '../protocol/path-parser.js';
import type { StoredEnvelope } from '../queue/spool.js';

// RFC 5321 §4.5.3.1.3 allows 256 octets in a path; UTF-8 addresses and what we accept by default stay well below.
const maxAddress = 1_024;
// Free text of ours and of next hops; the queue keeps less of it.
const maxText = 4_096;
// As `limits.recipients` at most.
const maxRecipients = 100_000;
// Each recipient may have a destination of its own.
const maxRoutes = maxRecipients;
// The queue keeps the last few.
const maxAttemptLog = 1_000;

function text(maxLength: number) {
  return z
    .string()
    .max(maxLength)
    .refine((value) => !/\p{Cc}/u.test(value), 'holds a control character');
}

const paths = new PathParser();

/** What MAIL and RCPT take between their brackets, and nothing behind it. */
function path(kind: 'reverse' | 'forward') {
  return text(maxAddress).refine((address) => {
    const bytes = Buffer.from(`<${address}>`);
    return paths.parse(bytes, 0, bytes.length, kind) === undefined && paths.end === bytes.length;
  }, 'is no mailbox (RFC 5321 §4.1.2)');
}

const timeMs = z.number().int().nonnegative();
const count = z.number().int().nonnegative();

const recipient = z.strictObject({
  address: path('forward'),
  route: text(maxAddress).min(1),
  notify: z.array(z.enum(['SUCCESS', 'FAILURE', 'DELAY'])).max(3).optional(),
  originalRecipient: text(maxAddress).optional(),
  state: z.enum(['pending', 'delivered', 'failed', 'bounced']),
  lastReply: text(maxText),
}); // prettier-ignore

const routeProgress = z.strictObject({
  route: text(maxAddress).min(1),
  nextAttemptAtMs: timeMs,
  attempts: count,
  ended: count,
  tried: z.boolean(),
  delayNotified: z.boolean(),
});

const attempt = z.strictObject({
  route: text(maxAddress),
  atMs: timeMs,
  hop: text(maxText),
  reply: text(maxText),
});

const storedEnvelope = z
  .strictObject({
    reversePath: path('reverse'),
    recipients: z.array(recipient).min(1).max(maxRecipients),
    body: z.enum(['7BIT', '8BITMIME']).optional(),
    smtpUtf8: z.boolean(),
    arrivedAtMs: timeMs,
    listener: text(maxText),
    clientAddress: text(maxText),
    clientName: text(maxText),
    user: text(maxText),
    sessionId: text(maxText),
    ret: z.enum(['FULL', 'HDRS']).optional(),
    envelopeId: text(maxText).optional(),
    isNotification: z.boolean().optional(),
    routes: z.array(routeProgress).min(1).max(maxRoutes),
    held: z.boolean(),
    parked: text(maxText),
    attemptLog: z.array(attempt).max(maxAttemptLog),
  })
  .refine(({ recipients, routes }) => {
    const known = new Set(routes.map(({ route }) => route));
    return known.size === routes.length && recipients.every(({ route }) => known.has(route));
  }, 'routes: not one for each destination of the recipients');

/** @throws PosternError BAD_IMPORT */
export function parseStoredEnvelope(id: string, value: unknown): StoredEnvelope {
  const parsed = storedEnvelope.safeParse(value);
  if (parsed.success) return { ...parsed.data, body: parsed.data.body };
  const [issue] = parsed.error.issues;
  const where = issue === undefined || issue.path.length === 0 ? '' : `${issue.path.join('.')}: `;
  throw new PosternError('BAD_IMPORT', `the envelope of ${id} is not one: ${where}${issue?.message ?? ''}`);
}
