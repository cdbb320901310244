/** A whole StoredEnvelope, each optional field given. */
import type { StoredEnvelope } from '../../src/queue/spool.js';

export const storedEnvelope: StoredEnvelope = {
  reversePath: 'a@example.org',
  recipients: [
    {
      address: '"b c"@example.test',
      route: 'office',
      notify: ['SUCCESS', 'DELAY'],
      originalRecipient: 'rfc822;b+40example.test',
      state: 'pending',
      lastReply: '451 4.3.0 later',
    },
    {
      address: 'd@ex\u00e4mple.test',
      route: 'mx/ex\u00e4mple.test',
      notify: [],
      state: 'bounced',
      lastReply: '',
    },
  ],
  body: '8BITMIME',
  smtpUtf8: true,
  arrivedAtMs: 1_790_000_000_000,
  listener: 'mx',
  clientAddress: '192.0.2.1',
  clientName: 'client.example.org',
  user: 'joe',
  sessionId: 'ABCD00000001',
  ret: 'HDRS',
  envelopeId: 'QQ+2B314159',
  isNotification: false,
  routes: [
    {
      route: 'office',
      nextAttemptAtMs: 1_790_000_300_000,
      attempts: 2,
      ended: 2,
      tried: true,
      delayNotified: false,
    },
    {
      route: 'mx/ex\u00e4mple.test',
      nextAttemptAtMs: 0,
      attempts: 1,
      ended: 0,
      tried: false,
      delayNotified: true,
    },
  ],
  held: true,
  parked: 'it ended three workers',
  attemptLog: [{ route: 'office', atMs: 1_790_000_000_001, hop: '192.0.2.9:25', reply: '451 4.3.0 later' }],
};
