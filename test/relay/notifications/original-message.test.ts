import { describe, expect, test } from 'vitest';

import { PosternError } from '../../../src/base/errors.js';
import {
  hasShortLines,
  maxReturnedBytes,
  readOriginal,
} from '../../../src/relay/notifications/original-message.js';
import { leaseOf, originalText } from './fixtures.js';

const headerText = originalText.slice(0, originalText.indexOf('\r\n\r\n') + 2);

describe('what goes back of the original', () => {
  test('C-122: its header by default and for RET=HDRS', async () => {
    const original = await readOriginal(leaseOf(), false);
    expect(original).toMatchObject({ extent: 'header', messageId: '<lunch.1@example.org>' });
    expect(original.bytes.toString()).toBe(headerText);
  });

  test('C-122: the whole for RET=FULL', async () => {
    const original = await readOriginal(leaseOf(), true);
    expect(original.extent).toBe('whole');
    expect(original.bytes.toString()).toBe(originalText);
  });

  test('the header for RET=FULL of a message beyond the bound, of which no more than that is read', async () => {
    const whole = Buffer.from(originalText + 'x\r\n'.repeat(maxReturnedBytes));
    const lease = leaseOf({}, whole);
    let read = 0;
    const counting = {
      ...lease,
      body: async function* () {
        for await (const chunk of lease.body()) {
          read += chunk.length;
          yield chunk;
        }
      },
    };
    expect((await readOriginal(counting, true)).bytes.toString()).toBe(headerText);
    expect(read).toBe(50_000);
  });

  test('the largest message that fits goes back whole', async () => {
    const body = originalText + 'x'.repeat(996) + '\r\n';
    const fill = 'y\r\n'.repeat(Math.floor((maxReturnedBytes - body.length) / 3));
    const whole = body + fill + 'z'.repeat(maxReturnedBytes - body.length - fill.length);
    const original = await readOriginal(leaseOf({}, whole), true);
    expect(original.extent).toBe('whole');
    expect(original.bytes.length).toBe(maxReturnedBytes);
  });

  test('the header where a line is longer than a message may have (RFC 5322 §2.1.1)', async () => {
    const original = await readOriginal(leaseOf({}, `${originalText}${'x'.repeat(999)}\r\n`), true);
    expect(original.extent).toBe('header');
  });

  test('a header that never ends is cut at a line end', async () => {
    const endless = 'X-A: b\r\n'.repeat(40_000);
    const original = await readOriginal(leaseOf({}, endless), false);
    expect(original.bytes.length).toBeLessThanOrEqual(maxReturnedBytes);
    expect(original.bytes.toString().endsWith('X-A: b\r\n')).toBe(true);
  });

  test('a message that is nothing but a header', async () => {
    expect((await readOriginal(leaseOf({}, 'Subject: x\r\n'), false)).bytes.toString()).toBe(
      'Subject: x\r\n',
    );
    expect((await readOriginal(leaseOf({}, 'no line end'), false)).bytes.toString()).toBe('no line end');
    expect((await readOriginal(leaseOf({}, ''), true)).bytes.length).toBe(0);
  });

  test('damage is thrown: what to do about it is not decided here', async () => {
    const damaged = {
      ...leaseOf(),
      body: async function* (): AsyncGenerator<Buffer> {
        yield await Promise.resolve(Buffer.from('Subject: x\r\n'));
        throw new PosternError('SPOOL_CORRUPT', 'the checksum does not match');
      },
    };
    await expect(readOriginal(damaged, true)).rejects.toThrow('the checksum does not match');
  });
});

describe('the Message-ID for References', () => {
  test.each([
    ['Message-ID: <a@b>\r\n', '<a@b>', 'plain'],
    ['MESSAGE-id:\t<a@b> \r\n', '<a@b>', 'any case, any blank'],
    ['Message-ID:\r\n <a@b>\r\n', '<a@b>', 'folded'],
    ['Message-ID: <a@[IPv6:::1]>\r\n', '<a@[IPv6:::1]>', 'with a literal'],
    ['Message-ID: <ab>\r\n', '', 'no @'],
    ['Message-ID: <a@b\r\n c>\r\n', '', 'folded inside'],
    ['Message-ID: <a b@c>\r\n', '', 'a blank inside'],
    ['Message-ID: <a<b@c>\r\n', '', 'two brackets'],
    [`Message-ID: <${'a'.repeat(300)}@b>\r\n`, '', 'longer than any'],
    ['Message-ID: <ü@b>\r\n', '', 'beyond ASCII'],
    ['X-Message-ID: <a@b>\r\n', '', 'another field'],
    ['Subject: x\r\n Message-ID: <a@b>\r\n', '', 'within a folded field'],
    ['Subject: x\r\n\r\nMessage-ID: <a@b>\r\n', '', 'in the body'],
  ])('%j: %s (%s)', async (text, messageId) => {
    expect((await readOriginal(leaseOf({}, text), true)).messageId).toBe(messageId);
  });
});

function line(length: number): Buffer {
  return Buffer.from(`a\r\n${'x'.repeat(length)}\r\nb\r\n`);
}

test('lines of 998 octets are short, of 999 are not', () => {
  expect(hasShortLines(line(998))).toBe(true);
  expect(hasShortLines(line(999))).toBe(false);
  expect(hasShortLines(Buffer.from('x'.repeat(998)))).toBe(true);
  expect(hasShortLines(Buffer.from('x'.repeat(999)))).toBe(false);
});
