import { describe, expect, test } from 'vitest';

import { DeathLedger } from '../../src/primary/death-ledger.js';

const reading = { kind: 'reading', files: ['a'] } as const;
const crash = (...files: string[]) => ({ kind: 'crash', files }) as const;

describe('F-05 quarantine after three deaths of one kind', () => {
  test('the third death while reading a file names it, and only the third', () => {
    const ledger = new DeathLedger();
    expect([1, 2, 3].map(() => ledger.record(reading))).toEqual([[], [], ['a']]);
    expect(ledger.record(reading)).toEqual([]);
  });

  test('deaths that blame nobody never add up', () => {
    const ledger = new DeathLedger();
    for (let i = 0; i < 10; i++) expect(ledger.record({ kind: 'none' })).toEqual([]);
  });

  test('the two kinds are counted apart', () => {
    const ledger = new DeathLedger();
    expect([reading, crash('a'), reading, crash('a')].map((blame) => ledger.record(blame))).toEqual([
      [],
      [],
      [],
      [],
    ]);
    expect(ledger.record(crash('a'))).toEqual(['a']);
  });

  test('only the files that were open in all three crashes are named', () => {
    const ledger = new DeathLedger();
    expect(ledger.record(crash('a', 'own-1'))).toEqual([]);
    expect(ledger.record(crash('a', 'own-2'))).toEqual([]);
    expect(ledger.record(crash('a', 'own-3'))).toEqual(['a']);
  });

  test('a file that was read to its end starts anew as a reader’s death, not as a crash', () => {
    const ledger = new DeathLedger();
    for (let i = 0; i < 2; i++) {
      ledger.record(reading);
      ledger.record(crash('a'));
    }
    ledger.wasRead('a');
    expect(ledger.record(reading)).toEqual([]);
    expect(ledger.record(crash('a'))).toEqual(['a']);
  });

  test('three failed commits in a file name it, whether it was read to its end or not', () => {
    const ledger = new DeathLedger();
    const commit = { kind: 'commit', files: ['a'] } as const;
    const named = [1, 2, 3].map(() => {
      ledger.wasRead('a');
      return ledger.record(commit);
    });
    expect(named).toEqual([[], [], ['a']]);
  });

  test('files that are gone are forgotten', () => {
    const ledger = new DeathLedger();
    ledger.record(reading);
    ledger.record(reading);
    ledger.keepOnly(new Set(['b']));
    expect(ledger.record(reading)).toEqual([]);
  });
});
