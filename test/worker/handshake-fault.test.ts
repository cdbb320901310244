import { expect, test } from 'vitest';
import { handshakeFault } from '../../src/worker/handshake-fault.js';

test.each([
  ['ERR_SSL_NO_SHARED_CIPHER', 'no-shared-cipher'],
  ['ERR_SSL_UNSUPPORTED_PROTOCOL', 'old-version'],
  ['ERR_SSL_HTTP_REQUEST', 'not-tls'],
  ['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', 'certificate-refused'],
  ['ERR_SSL_TLSV1_ALERT_DECODE_ERROR', 'refused'],
  ['ECONNRESET', 'closed'],
  ['ERR_SSL_ANYTHING_ELSE', 'other'],
  ['', 'other'],
  ['constructor', 'other'],
])('%s is %s', (code, fault) => {
  expect(handshakeFault(code)).toBe(fault);
});
