/** Base64 of SASL, RFC 4954 §4. Stricter than Node's own decoder, which takes almost anything (attacks.md A-100). */

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/** RFC 4648 §4 and nothing else: right alphabet, right padding, unused bits zero. Undefined when it is not base64. */
export function decodeBase64(text: string): Buffer | undefined {
  if (text.length % 4 !== 0) return undefined;
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const digits = text.length - padding;
  let last = 0;
  for (let at = 0; at < digits; at++) {
    last = alphabet.indexOf(text.charAt(at));
    if (last < 0) return undefined;
  }
  const unusedBits = padding === 2 ? 0x0f : padding === 1 ? 0x03 : 0;
  return (last & unusedBits) === 0 ? Buffer.from(text, 'base64') : undefined;
}
