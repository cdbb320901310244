import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';

import { ticketKeysOf } from '../../src/worker/ticket-keys.js';

test('A-033: the keys of session tickets are the same in each worker, and others for each listener and secret', () => {
  const [secret, other] = [randomBytes(32), randomBytes(32)];
  const keys = ticketKeysOf(secret, 'mx');
  expect(keys).toHaveLength(48);
  expect(ticketKeysOf(Buffer.from(secret), 'mx')).toEqual(keys);
  expect(ticketKeysOf(secret, 'submission')).not.toEqual(keys);
  expect(ticketKeysOf(other, 'mx')).not.toEqual(keys);
});
