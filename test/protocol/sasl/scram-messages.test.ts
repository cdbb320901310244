import { describe, expect, test } from 'vitest';
import { parseClientFinal, parseClientFirst } from '../../../src/protocol/sasl/scram-messages.js';

const first = (text: string) => parseClientFirst(Buffer.from(text, 'latin1'));
const final = (text: string) => parseClientFinal(Buffer.from(text, 'latin1'));

describe('client-first-message (RFC 5802 §7)', () => {
  test.each([
    ['no binding, no authorization identity', 'n,,n=user,r=abc', { kind: 'n' }, '', 'user'],
    ['a client that could bind', 'y,,n=user,r=abc', { kind: 'y' }, '', 'user'],
    ['bound', 'p=tls-exporter,,n=user,r=abc', { kind: 'p', name: 'tls-exporter' }, '', 'user'],
    ['an authorization identity', 'n,a=x=2Cy,n=user,r=abc', { kind: 'n' }, 'x,y', 'user'],
    ['a comma and an equals sign in a name', 'n,,n=a=2Cb=3D=2C,r=abc', { kind: 'n' }, '', 'a,b=,'],
    ['an extension that nobody must know', 'n,,n=user,r=abc,x=1,y=a=b', { kind: 'n' }, '', 'user'],
    ['what looks like an escape, escaped', 'n,,n==3D2C,r=abc', { kind: 'n' }, '', '=2C'],
  ])('%s', (_, text, flag, authorizationId, authenticationId) => {
    const parsed = first(text);
    expect(parsed).toMatchObject({ flag, authorizationId, authenticationId, nonce: 'abc' });
    expect(`${parsed?.gs2Header}${parsed?.bare}`).toBe(text);
  });

  test.each([
    ['nothing', ''],
    ['no header', 'n=user,r=abc'],
    ['half a header', 'n,n=user,r=abc'],
    ['an unknown flag', 'q,,n=user,r=abc'],
    ['a flag in upper case', 'N,,n=user,r=abc'],
    ['a binding without a name', 'p=,,n=user,r=abc'],
    ['a binding with a space in its name', 'p=tls exporter,,n=user,r=abc'],
    ['GS2’s non-standard flag, which SCRAM does not have', 'F,n,,n=user,r=abc'],
    ['an authorization identity without its key', 'n,user,n=user,r=abc'],
    ['an empty authorization identity', 'n,a=,n=user,r=abc'],
    ['a mandatory extension (RFC 5802 §5.1)', 'n,,m=1,n=user,r=abc'],
    ['a mandatory extension at the end', 'n,,n=user,r=abc,m=1'],
    ['no name', 'n,,r=abc'],
    ['an empty name', 'n,,n=,r=abc'],
    ['a bare equals sign', 'n,,n=a=b,r=abc'],
    ['an escape in lower case', 'n,,n=a=2cb,r=abc'],
    ['half an escape', 'n,,n=a=2,r=abc'],
    ['no nonce', 'n,,n=user'],
    ['an empty nonce', 'n,,n=user,r='],
    ['a nonce with a space', 'n,,n=user,r=a b'],
    ['a nonce with a letter beyond ASCII', 'n,,n=user,r=a\xe9'],
    ['a nonce past its bound', `n,,n=user,r=${'a'.repeat(257)}`],
    ['nonce before name', 'n,,r=abc,n=user'],
    ['an extension without a value', 'n,,n=user,r=abc,x='],
    ['an empty extension', 'n,,n=user,r=abc,'],
    ['an extension with a digit for a key', 'n,,n=user,r=abc,1=x'],
    ['a NUL', 'n,,n=us\0er,r=abc'],
    ['octets that are not UTF-8', 'n,,n=\xff,r=abc'],
  ])('is refused: %s', (_, text) => {
    expect(first(text)).toBeUndefined();
  });
});

describe('client-final-message (RFC 5802 §7)', () => {
  test('its parts', () => {
    expect(final('c=biws,r=abcdef,p=AAAA')).toEqual({
      binding: Buffer.from('n,,'),
      nonce: 'abcdef',
      withoutProof: 'c=biws,r=abcdef',
      proof: Buffer.alloc(3),
    });
    expect(final('c=biws,r=abcdef,x=1,p=AAAA')?.withoutProof).toBe('c=biws,r=abcdef,x=1');
  });

  test.each([
    ['nothing', ''],
    ['no proof', 'c=biws,r=abc'],
    ['an empty proof', 'c=biws,r=abc,p='],
    ['a proof that is no base64', 'c=biws,r=abc,p=A_-A'],
    ['the proof not last', 'c=biws,r=abc,p=AAAA,x=1'],
    ['a channel that is no base64', 'c=biw,r=abc,p=AAAA'],
    ['no channel', 'r=abc,p=AAAA'],
    ['no nonce', 'c=biws,p=AAAA'],
    ['a mandatory extension', 'c=biws,r=abc,m=1,p=AAAA'],
    ['an empty extension', 'c=biws,r=abc,,p=AAAA'],
  ])('is refused: %s', (_, text) => {
    expect(final(text)).toBeUndefined();
  });
});
