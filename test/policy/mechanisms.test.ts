import { describe, expect, it } from 'vitest';

import { mechanismsOn } from '../../src/policy/mechanisms.js';

const served = ['SCRAM-SHA-256', 'SCRAM-SHA-1', 'PLAIN', 'EXTERNAL'] as const;

describe('the mechanisms of a session (C-113)', () => {
  it('have -PLUS only where the channel can be bound, in front of its own', () => {
    expect(mechanismsOn({ canBind: true, hasCertificate: false }, served)).toEqual([
      'SCRAM-SHA-256-PLUS',
      'SCRAM-SHA-256',
      'SCRAM-SHA-1-PLUS',
      'SCRAM-SHA-1',
      'PLAIN',
    ]);
    expect(mechanismsOn({ canBind: false, hasCertificate: false }, served)).toEqual([
      'SCRAM-SHA-256',
      'SCRAM-SHA-1',
      'PLAIN',
    ]);
  });

  it('have EXTERNAL only for a client with a verified certificate', () => {
    expect(mechanismsOn({ canBind: false, hasCertificate: true }, served)).toContain('EXTERNAL');
  });
});
