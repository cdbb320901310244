import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  DovecotLines,
  escapeField,
  maxLineBytes,
  parseReply,
  unescapeField,
  type DovecotReply,
} from '../../src/auth/dovecot-lines.js';

describe('a field of Dovecot', () => {
  it('cannot end its field or its line, whatever is in it, and comes back whole', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('\0', '\x01', '\t', '\r', '\n', 'a', '0', 't', 'é') }),
        (text) => {
          const escaped = escapeField(text);
          // oxlint-disable-next-line no-control-regex -- these end a field
          expect(escaped).not.toMatch(/[\0\t\r\n]/);
          expect(unescapeField(escaped)).toBe(text);
        },
      ),
    );
  });
});

describe('lines', () => {
  it('come whole however they are cut', () => {
    const bytes = Buffer.from('OK\t1\tuser=j\n\nFAIL\t2\nrest');
    for (let cut = 0; cut <= bytes.length; cut++) {
      const lines = new DovecotLines();
      const found = [
        ...(lines.push(bytes.subarray(0, cut)) ?? []),
        ...(lines.push(bytes.subarray(cut)) ?? []),
      ];
      expect(found).toEqual(['OK\t1\tuser=j', '', 'FAIL\t2']);
    }
  });

  it('are given up when one is longer than any is', () => {
    expect(new DovecotLines().push(Buffer.alloc(maxLineBytes, 'x'))).toEqual([]);
    expect(new DovecotLines().push(Buffer.alloc(maxLineBytes + 1, 'x'))).toBeUndefined();
    const lines = new DovecotLines();
    expect(lines.push(Buffer.alloc(maxLineBytes, 'x'))).toEqual([]);
    expect(lines.push(Buffer.from('x\n'))).toBeUndefined();
  });
});

describe('a reply', () => {
  const table: [line: string, reply: DovecotReply | undefined, why: string][] = [
    ['OK\t7\tuser=joe@example.org', { kind: 'ok', id: 7, user: 'joe@example.org' }, 'a success, with the name that Dovecot knows'],
    ['OK\t7\tuser=joe\tnologin', { kind: 'fail', id: 7, temporary: false, reason: 'nologin' }, 'a right password of one who may not log in'],
    ['OK\t7\tuser=joe\tnologin\treason=Moved', { kind: 'fail', id: 7, temporary: false, reason: 'Moved' }, 'one who may not, and why'],
    ['OK\t7\tnologin=\tuser=joe', { kind: 'fail', id: 7, temporary: false, reason: 'nologin' }, 'one who may not, written otherwise'],
    ['OK\t7\tuser=joe\tuser_disabled', { kind: 'fail', id: 7, temporary: false, reason: 'user_disabled' }, 'one whose entry is switched off'],
    ['OK\t7\tuser=joe\tuser_disabled=yes\treason=Gone', { kind: 'fail', id: 7, temporary: false, reason: 'Gone' }, 'one whose entry is switched off, and why'],
    ['OK\t7\tuser=joe\tpass_expired', { kind: 'fail', id: 7, temporary: false, reason: 'pass_expired' }, 'one whose entry says that his password is too old'],
    ['OK\t7\tuser=joe\tproxy\thost=192.0.2.9', { kind: 'fail', id: 7, temporary: false, reason: 'proxy' }, 'one whom another server would have to ask for his password'],
    ['OK\t7\tuser=joe\thost=192.0.2.9', { kind: 'ok', id: 7, user: 'joe' }, 'one who is told of another server, and whose password was checked'],
    ['OK\t7\tuser=user_disabled', { kind: 'ok', id: 7, user: 'user_disabled' }, 'a user of that name'],
    ['OK\t7\tuser=nologin', { kind: 'ok', id: 7, user: 'nologin' }, 'a user of that name'],
    ['OK\t7', { kind: 'ok', id: 7, user: undefined }, 'one without a name'],
    ['OK\t7\tuser=\xc3\xa9\x01t', { kind: 'ok', id: 7, user: 'é\t' }, 'a name in UTF-8, escaped'],
    ['OK\t7\tsuperuser=x', { kind: 'ok', id: 7, user: undefined }, 'a field whose name ends like another'],
    ['FAIL\t7\tuser=joe', { kind: 'fail', id: 7, temporary: false, reason: '' }, 'a wrong password'],
    ['FAIL\t7\ttemp', { kind: 'fail', id: 7, temporary: true, reason: '' }, 'no judgement'],
    ['FAIL\t7\tcode=temp_fail', { kind: 'fail', id: 7, temporary: true, reason: 'temp_fail' }, 'no judgement, as a code'],
    ['FAIL\t7\tuser=temp\treason=Expired', { kind: 'fail', id: 7, temporary: false, reason: 'Expired' }, 'a judgement on a user named temp'],
    ['FAIL\t7\tuser_disabled\tcode=user_disabled', { kind: 'fail', id: 7, temporary: false, reason: 'user_disabled' }, 'a user who is switched off'],
    ['CONT\t7\tabc', { kind: 'continue', id: 7 }, 'a question back'],
    ['OK\t0', undefined, 'no number of a request'],
    ['OK\t-1', undefined, 'nor this'],
    ['OK\t1e3', undefined, 'nor this'],
    ['OK', undefined, 'no number'],
    ['', undefined, 'nothing'],
    ['SPID\t123', undefined, 'another word'],
  ]; // prettier-ignore
  it.each(table)('%j is %j: %s', (line, reply) => {
    expect(parseReply(line)).toEqual(reply);
  });
});
