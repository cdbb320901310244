/** Messages, leases and outcomes for tests of notifications: one of each, changed where a test needs it. */
import type { CarryOutcome, CarryResult } from '../../../src/relay/carrier.js';
import type { Lease, QueuedMessage, QueuedRecipient, RouteProgress } from '../../../src/queue/spool.js';

/** Sat, 22 Nov 2025 11:18:09 +0000 */
export const arrivedAtMs = Date.UTC(2025, 10, 22, 11, 18, 9);
export const minute = 60_000;
export const hour = 60 * minute;

export function recipient(address: string, changes: Partial<QueuedRecipient> = {}): QueuedRecipient {
  return { address, route: 'out', state: 'pending', lastReply: '', ...changes };
}

export function progress(changes: Partial<RouteProgress> = {}): RouteProgress {
  return {
    route: 'out',
    nextAttemptAtMs: 0,
    attempts: 3,
    ended: 2,
    tried: true,
    delayNotified: false,
    ...changes,
  };
}

export function messageOf(changes: Partial<QueuedMessage> = {}): QueuedMessage {
  return {
    id: '0D9ORIGINAL00001',
    reversePath: 'sender@example.org',
    recipients: [recipient('joe@example.net')],
    body: undefined,
    smtpUtf8: false,
    arrivedAtMs,
    listener: 'mx',
    clientAddress: '192.0.2.1',
    clientName: 'client.example',
    user: '',
    sessionId: 'SESSION00001',
    routes: [progress()],
    held: false,
    parked: '',
    attemptLog: [],
    state: 'active',
    bytes: originalText.length,
    attempts: 3,
    nextAttemptAtMs: 0,
    ...changes,
  };
}

export const originalText = [
  'Received: from client.example ([192.0.2.1])',
  '\tby mx.example.org with ESMTP id 0D9ORIGINAL00001;',
  '\tSat, 22 Nov 2025 11:18:09 +0000',
  'From: Sender <sender@example.org>',
  'To: joe@example.net',
  'Subject: lunch',
  'Message-ID: <lunch.1@example.org>',
  '',
  'At noon?',
  '',
].join('\r\n');

export function leaseOf(changes: Partial<QueuedMessage> = {}, body: Buffer | string = originalText): Lease {
  const bytes = Buffer.from(body);
  return {
    message: messageOf({ bytes: bytes.length, ...changes }),
    route: 'out',
    body: async function* () {
      for (let at = 0; at < bytes.length; at += 50_000) {
        await Promise.resolve();
        yield bytes.subarray(at, at + 50_000);
      }
    },
  };
}

export function outcomeOf(
  results: readonly CarryResult[],
  changes: Partial<CarryOutcome> = {},
): CarryOutcome {
  return { hop: 'mx.example.net:25', results, ambiguous: false, corrupt: false, ...changes };
}

export function refused(address = 'joe@example.net', lastReply = '550 5.1.1 No such user'): CarryResult {
  return { address, state: 'failed', lastReply, fromHop: true };
}

export function deferred(address = 'joe@example.net', lastReply = '451 4.7.1 Come back later'): CarryResult {
  return { address, state: 'pending', lastReply, fromHop: true };
}

export function taken(address = 'joe@example.net', lastReply = '250 2.1.5 Ok'): CarryResult {
  return { address, state: 'delivered', lastReply, fromHop: true };
}
