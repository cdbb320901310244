import { describe, expect, it } from 'vitest';

import { DnsblJudge, type DnsblAnswer, type ListResult } from '../../src/policy/dnsbl.js';

function answer(...addresses: string[]): DnsblAnswer {
  return { kind: 'answer', addresses, ttlSeconds: 60 };
}

const judge = new DnsblJudge({
  lists: [
    { zone: 'block.test', weight: 3, replies: ['127.0.0.[2..11]'] },
    { zone: 'mild.test', weight: 1, replies: ['127.0.0.2', '127.0.0.[4,6]'] },
    { zone: 'allow.test', weight: -2, replies: ['127.0.[0..255].[1..3]'] },
  ],
  reject: 3,
  defer: 1,
});

describe('what one list says (A-120)', () => {
  const table: [answer: DnsblAnswer, result: ListResult, why: string][] = [
    [answer('127.0.0.2'), 'listed', 'a code of the filter'],
    [answer('127.0.0.3', '127.0.0.99'), 'listed', 'one code of several is enough'],
    [answer('127.0.0.99'), 'clear', 'a code that does not count'],
    [answer('127.0.0.1'), 'clear', 'no list says 127.0.0.1 unless it is asked for'],
    [answer('127.255.255.254'), 'error', 'asked through a public resolver'],
    [answer('127.255.255.252'), 'error', 'a typing error in the zone'],
    [answer('127.0.0.2', '127.255.255.255'), 'error', 'too many questions, whatever else it says'],
    [answer('8.8.8.8'), 'error', 'a resolver that lies, or a zone that was sold'],
    [answer('127.0.0.2', '8.8.8.8'), 'error', 'one wrong address spoils the answer'],
    [answer('12.7.0.2'), 'error', 'numbers, not text'],
    [{ kind: 'none' }, 'clear', 'no such name'],
    [{ kind: 'timeout' }, 'timeout', 'nobody answered'],
    [{ kind: 'error', code: 'ESERVFAIL' }, 'error', 'SERVFAIL'],
  ];
  it.each(table.map(([said, result, why]) => ({ said, result, why })))(
    '$result: $why',
    ({ said, result }) => {
      expect(judge.resultOf(0, said)).toBe(result);
    },
  );

  it('reads each list by its own filters', () => {
    expect([0, 1, 2].map((list) => judge.resultOf(list, answer('127.0.0.4')))).toEqual([
      'listed',
      'listed',
      'clear',
    ]);
    expect([0, 1, 2].map((list) => judge.resultOf(list, answer('127.0.9.1')))).toEqual([
      'clear',
      'clear',
      'listed',
    ]);
  });

  it('takes a filter for 127.255.255.0/24 for a mistake: it never counts', () => {
    const odd = new DnsblJudge({
      lists: [{ zone: 'odd.test', weight: 9, replies: ['127.[0..255].[0..255].[0..255]'] }],
      reject: 1,
      defer: 0,
    });
    expect(odd.resultOf(0, answer('127.255.255.254'))).toBe('error');
  });
});

describe('what the lists mean together', () => {
  const table: [results: ListResult[], verdict: object, why: string][] = [
    [['clear', 'clear', 'clear'], { kind: 'pass' }, 'on no list'],
    [
      ['listed', 'clear', 'clear'],
      { kind: 'reject', zone: 'block.test', zones: ['block.test'] },
      'the threshold is reached',
    ],
    [
      ['listed', 'listed', 'clear'],
      { kind: 'reject', zone: 'block.test', zones: ['block.test', 'mild.test'] },
      'the heaviest list comes first',
    ],
    [
      ['clear', 'listed', 'clear'],
      { kind: 'defer', zone: 'mild.test', zones: ['mild.test'] },
      'the lower threshold',
    ],
    [['clear', 'listed', 'listed'], { kind: 'pass' }, 'an allow list takes away'],
    [
      ['listed', 'clear', 'listed'],
      { kind: 'defer', zone: 'block.test', zones: ['block.test'] },
      'an allow list is never named as a reason',
    ],
    [
      ['listed', 'listed', 'error'],
      { kind: 'reject', zone: 'block.test', zones: ['block.test', 'mild.test'] },
      'an allow list that fails clears nobody',
    ],
    [['timeout', 'timeout', 'timeout'], { kind: 'pass' }, 'all time out: open (F-17)'],
    [['error', 'error', 'error'], { kind: 'pass' }, 'all fail: open (F-18)'],
    [
      ['error', 'listed', 'clear'],
      { kind: 'defer', zone: 'mild.test', zones: ['mild.test'] },
      'the rest still counts',
    ],
  ];
  it.each(table.map(([results, verdict, why]) => ({ results, verdict, why })))(
    '$why',
    ({ results, verdict }) => {
      expect(judge.judge(results)).toEqual(verdict);
    },
  );

  it('never rejects nor defers at a threshold of 0', () => {
    const lists = [{ zone: 'a.test', weight: 9, replies: ['127.0.0.2'] }];
    expect(new DnsblJudge({ lists, reject: 0, defer: 0 }).judge(['listed'])).toEqual({ kind: 'pass' });
    expect(new DnsblJudge({ lists, reject: 0, defer: 0 }).judge(['clear'])).toEqual({ kind: 'pass' });
    expect(new DnsblJudge({ lists, reject: 0, defer: 5 }).judge(['listed'])).toMatchObject({ kind: 'defer' });
  });

  it('does not start with a filter it cannot read', () => {
    const lists = [{ zone: 'a.test', weight: 1, replies: ['127.0.0'] }];
    expect(() => new DnsblJudge({ lists, reject: 1, defer: 0 })).toThrow('not a reply filter: 127.0.0');
  });
});
