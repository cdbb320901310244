/** Why a TLS handshake failed, in a few words of ours for metrics and logs. OpenSSL has hundreds; most never come. */

export type HandshakeFault =
  | 'no-shared-cipher'
  | 'old-version'
  | 'not-tls'
  /** The client broke off with an alert about our certificate: unknown authority, expired, wrong name. */
  | 'certificate-refused'
  /** Any other alert of the client. */
  | 'refused'
  /** The client went without a word. */
  | 'closed'
  | 'timeout'
  /** We are stopping. */
  | 'shutdown'
  | 'other';

const faults: ReadonlyMap<string, HandshakeFault> = new Map([
  ['ERR_SSL_NO_SHARED_CIPHER', 'no-shared-cipher'],
  ['ERR_SSL_NO_SUITABLE_KEY_SHARE', 'no-shared-cipher'],
  ['ERR_SSL_NO_SHARED_GROUP', 'no-shared-cipher'],
  ['ERR_SSL_NO_SUITABLE_SIGNATURE_ALGORITHM', 'no-shared-cipher'],
  ['ERR_SSL_UNSUPPORTED_PROTOCOL', 'old-version'],
  ['ERR_SSL_VERSION_TOO_LOW', 'old-version'],
  ['ERR_SSL_WRONG_VERSION_NUMBER', 'not-tls'],
  ['ERR_SSL_HTTP_REQUEST', 'not-tls'],
  ['ERR_SSL_HTTPS_PROXY_REQUEST', 'not-tls'],
  ['ERR_SSL_BAD_RECORD_TYPE', 'not-tls'],
  ['ERR_SSL_PACKET_LENGTH_TOO_LONG', 'not-tls'],
  ['ERR_SSL_RECORD_LAYER_FAILURE', 'not-tls'],
  ['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', 'certificate-refused'],
  ['ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE', 'certificate-refused'],
  ['ERR_SSL_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE', 'certificate-refused'],
  ['ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED', 'certificate-refused'],
  ['ERR_SSL_SSLV3_ALERT_CERTIFICATE_REVOKED', 'certificate-refused'],
  ['ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN', 'certificate-refused'],
  ['ECONNRESET', 'closed'],
  ['EPIPE', 'closed'],
] as const);

/** @param code of the error, '' where it has none */
export function handshakeFault(code: string): HandshakeFault {
  return faults.get(code) ?? (code.includes('_ALERT_') ? 'refused' : 'other');
}
