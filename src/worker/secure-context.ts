/** The TLS context of this worker's listeners. A reload replaces workers, so a context never changes under a session. */
import { constants } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext, type SecureContext } from 'node:tls';
import { PosternError, describeError } from '../base/errors.js';
import type { Config } from '../config/config.js';

/** @throws PosternError TLS_UNUSABLE with the files named */
export function openSecureContext(tls: NonNullable<Config['tls']>): SecureContext {
  try {
    return createSecureContext({
      cert: readFileSync(tls.certificate),
      key: readFileSync(tls.key),
      minVersion: 'TLSv1.2',
      honorCipherOrder: true,
      // Renegotiation is an old way to burn our CPU; nobody needs it.
      secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    });
  } catch (error) {
    throw new PosternError(
      'TLS_UNUSABLE',
      `TLS cannot use certificate ${tls.certificate} with key ${tls.key}: ${describeError(error)}. ` +
        'Check that both files exist, are readable by this user and belong together.',
      error,
    );
  }
}
