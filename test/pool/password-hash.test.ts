import { describe, expect, it } from 'vitest';

import {
  defaultCost,
  dummyHash,
  hashPassword,
  parseHash,
  verifyPassword,
} from '../../src/pool/password-hash.js';

const cheap = { log2N: 4, r: 1, p: 1 };
const salt = 'c2FsdHNhbHRzYWx0c2FsdA';
const hash = 'aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g';

function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replaceAll('=', '');
}

describe('scrypt hashes', () => {
  it('are new for each user, and fit their password alone', async () => {
    const one = await hashPassword('tiger', cheap);
    const other = await hashPassword('tiger', cheap);
    expect(one).not.toBe(other);
    expect(await verifyPassword('tiger', one)).toBe(true);
    expect(await verifyPassword('tiger', other)).toBe(true);
    expect(await verifyPassword('Tiger', one)).toBe(false);
    expect(await verifyPassword('', one)).toBe(false);
  });

  it('agree with the test vector of RFC 7914 §12 for N = 2^14', async () => {
    const derived = Buffer.from(
      '7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2' +
        'd5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887',
      'hex',
    );
    const text = `$scrypt$ln=14,r=8,p=1$${unpadded(Buffer.from('SodiumChloride'))}$${unpadded(derived)}`;
    expect(await verifyPassword('pleaseletmein', text)).toBe(true);
    expect(await verifyPassword('pleaseletmeout', text)).toBe(false);
  });

  it('cost what their text says', () => {
    expect(parseHash(`$scrypt$ln=15,r=8,p=1$${salt}$${hash}`)).toMatchObject({ cost: defaultCost });
    expect(parseHash(dummyHash(cheap))).toMatchObject({ cost: cheap });
  });

  it('have a dummy that fits nothing and is never twice the same', async () => {
    expect(dummyHash(cheap)).not.toBe(dummyHash(cheap));
    expect(await verifyPassword('', dummyHash(cheap))).toBe(false);
  });

  const damaged: [text: string, why: string][] = [
    ['', 'nothing'],
    [`$scrypt$ln=15,r=8,p=1$${salt}`, 'no hash'],
    [`$scrypt$ln=15,r=8,p=1$${salt}$${hash}$`, 'something behind it'],
    [`$scrypt$ln=15,r=8$${salt}$${hash}`, 'a parameter is missing'],
    [`$scrypt$ln=0,r=8,p=1$${salt}$${hash}`, 'no work at all'],
    [`$scrypt$ln=15,r=0,p=1$${salt}$${hash}`, 'nor here'],
    [`$scrypt$ln=21,r=8,p=1$${salt}$${hash}`, '2 GiB a log-in'],
    [`$scrypt$ln=15,r=8,p=17$${salt}$${hash}`, 'seconds a log-in'],
    [`$scrypt$ln=15,r=8,p=1$a$${hash}`, 'hardly a salt'],
    [`$argon2id$v=19$m=65536,t=2,p=1$${salt}$${hash}`, 'another function'],
  ];
  it.each(damaged.map(([text, why]) => ({ text, why })))('are refused: $why', ({ text }) => {
    expect(parseHash(text)).toBeUndefined();
  });

  it('are refused as a fault of ours when one that was never checked is verified', async () => {
    await expect(verifyPassword('x', 'x')).rejects.toThrow(TypeError);
  });
});
