import { createHash, createHmac } from 'node:crypto';

import { describe, expect, it } from 'vitest';

import { formatVerifier, makeVerifier, parseVerifier } from '../../src/pool/scram.js';
import type { ScramFamily } from '../../src/protocol/types.js';

interface Exchange {
  readonly mechanism: ScramFamily;
  readonly salt: string;
  readonly authMessage: string;
  readonly proof: string;
  readonly signature: string;
}

/** Password "pencil", 4096 iterations, user "user". */
const exchanges: readonly Exchange[] = [
  {
    // RFC 5802 §5.
    mechanism: 'SCRAM-SHA-1',
    salt: 'QSXCR+Q6sek8bf92',
    authMessage:
      'n=user,r=fyko+d2lbbFgONRv9qkxdawL,' +
      'r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096,' +
      'c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j',
    proof: 'v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=',
    signature: 'rmF9pqV8S7suAoZWja4dJRkFsKQ=',
  },
  {
    // RFC 7677 §3.
    mechanism: 'SCRAM-SHA-256',
    salt: 'W22ZaJ0SNY7soEsUEjb6gQ==',
    authMessage:
      'n=user,r=rOprNGfwEbeRWgbNEkqO,' +
      'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,' +
      'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0',
    proof: 'dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
    signature: '6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=',
  },
];

function xor(a: Buffer, b: Buffer): Buffer {
  return Buffer.from(a.map((byte, i) => byte ^ (b[i] ?? 0)));
}

describe('SCRAM verifiers', () => {
  it.each(exchanges)('of $mechanism check the proof of the RFC and give its signature', async (exchange) => {
    const digest = exchange.mechanism === 'SCRAM-SHA-1' ? 'sha1' : 'sha256';
    const salt = Buffer.from(exchange.salt, 'base64');
    const verifier = await makeVerifier(exchange.mechanism, 'pencil', salt, 4096);
    // RFC 5802 §3: ClientKey = ClientProof XOR HMAC(StoredKey, AuthMessage), and H(ClientKey) must be StoredKey.
    const clientSignature = createHmac(digest, verifier.storedKey).update(exchange.authMessage).digest();
    const clientKey = xor(Buffer.from(exchange.proof, 'base64'), clientSignature);
    expect(createHash(digest).update(clientKey).digest()).toEqual(verifier.storedKey);
    const serverSignature = createHmac(digest, verifier.serverKey)
      .update(exchange.authMessage)
      .digest('base64');
    expect(serverSignature).toBe(exchange.signature);
  });

  it.each(exchanges)('of $mechanism come back from their text as they were', async ({ mechanism }) => {
    const verifier = await makeVerifier(mechanism, 'pencil');
    expect(parseVerifier(mechanism, formatVerifier(mechanism, verifier))).toEqual(verifier);
  });

  it('are not read as those of the other mechanism', async () => {
    const text = formatVerifier('SCRAM-SHA-1', await makeVerifier('SCRAM-SHA-1', 'pencil'));
    expect(parseVerifier('SCRAM-SHA-256', text)).toBeUndefined();
    expect(parseVerifier('SCRAM-SHA-256', text.replace('SHA-1', 'SHA-256'))).toBeUndefined();
  });

  const key = Buffer.alloc(20, 1).toString('base64');
  const damaged: [text: string, why: string][] = [
    ['', 'nothing'],
    [`SCRAM-SHA-1$4096:c2FsdA==$${key}`, 'one key'],
    [`SCRAM-SHA-1$4096:c2FsdA==$${key}:${key}$`, 'something behind it'],
    [`SCRAM-SHA-1$4095:c2FsdA==$${key}:${key}`, 'fewer iterations than RFC 5802 §5.1 allows'],
    [`SCRAM-SHA-1$99999999:c2FsdA==$${key}:${key}`, 'so many that no client comes back'],
    [`SCRAM-SHA-1$4096:$${key}:${key}`, 'no salt'],
    [`SCRAM-SHA-1$4096:c2FsdA$${key}:${key}`, 'base64 without its padding'],
    [`SCRAM-SHA-1$4096:c2FsdA==$${key}:c2hvcnQ=`, 'a short key'],
    [`SCRAM-SHA-1$1e4:c2FsdA==$${key}:${key}`, 'not a count'],
  ];
  it.each(damaged.map(([text, why]) => ({ text, why })))('are refused: $why', ({ text }) => {
    expect(parseVerifier('SCRAM-SHA-1', text)).toBeUndefined();
  });
});
