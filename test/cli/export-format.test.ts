import { createHash } from 'node:crypto';

import { describe, expect, test } from 'vitest';

import { messageHash, readExport, type ExportPart } from '../../src/cli/export-format.js';

const [idA, idB, idC] = ['1M81GXG2T3PYZNHK', '1M81GXG2T3PYZNHM', '1M81GXG2T3PYZNHN'] as const;
const head = '{"export":"postern-queue","version":1,"hostname":"mx1","at":"2026-03-01T12:00:00.000Z"}';

function message(id: string, ...pieces: string[]): string[] {
  const bytes = Buffer.byteLength(pieces.join(''));
  const line = JSON.stringify({ message: id, bytes, envelope: { reversePath: 'j\u00f6@x.test' } });
  const sha256 = createHash('sha256')
    .update(`${line}\n${pieces.join('')}`)
    .digest('hex');
  const data = pieces.map((piece) => JSON.stringify({ data: Buffer.from(piece).toString('base64') }));
  return [line, ...data, JSON.stringify({ end: id, sha256 })];
}

const gone = [
  JSON.stringify({ message: idB, bytes: 9, envelope: {} }),
  JSON.stringify({ data: 'QUJD' }),
  JSON.stringify({ gone: idB }),
];
const whole = [
  head,
  ...message(idA, 'Subject: a\r\n\r\n', 'body\r\n'),
  ...gone,
  ...message(idC),
  '{"messages":2}',
];

async function* chunked(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield await Promise.resolve(bytes.subarray(at, at + size));
}

async function read(text: string | Buffer, size = 1_000): Promise<ExportPart[]> {
  const parts: ExportPart[] = [];
  for await (const part of readExport(chunked(Buffer.from(text), size))) parts.push(part);
  return parts;
}

const textOf = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join('');

describe('an export', () => {
  test.each([1, 2, 7, 64, 100_000])('is read whole in chunks of %i bytes', async (size) => {
    const parts = await read(textOf(whole), size);
    expect(parts.map(({ kind }) => kind)).toEqual(['message', 'data', 'data', 'end', 'message', 'data', 'gone', 'message', 'end', 'total']);
    const bodies = parts.flatMap((part) => (part.kind === 'data' ? [part.data.toString()] : []));
    expect(bodies).toEqual(['Subject: a\r\n\r\n', 'body\r\n', 'ABC']);
    expect(parts[0]).toMatchObject({ message: { id: idA, envelope: { reversePath: 'j\u00f6@x.test' } } });
    expect(parts.at(-1)).toEqual({ kind: 'total', messages: 2 });
  }); // prettier-ignore

  test('hashes the line of a message and its bytes', () => {
    const expected = createHash('sha256').update('{"message":"x"}\nabc').digest('hex');
    expect(messageHash('{"message":"x"}').update('abc').digest('hex')).toBe(expected);
  });

  test('that is cut off anywhere is never taken for a whole one', async () => {
    const bytes = Buffer.from(textOf(whole));
    for (let length = 0; length < bytes.length - 1; length++)
      await expect(read(bytes.subarray(0, length)), `${length} bytes`).rejects.toMatchObject({
        code: 'BAD_IMPORT',
      });
  });

  test('of which a bit is changed anywhere gives no changed message', async () => {
    const bytes = Buffer.from(textOf([head, ...message(idA, 'Subject: a\r\n'), '{"messages":1}']));
    const start = head.length + 1;
    const good = await read(bytes);
    for (let at = start; at < bytes.length; at++) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 1;
      // A change of the spelling alone (a space for a tab) is none of the content.
      const parts = await read(changed).catch(() => 'refused');
      expect(parts === 'refused' || JSON.stringify(parts) === JSON.stringify(good), `byte ${at}`).toBe(true);
    }
  });
});

async function readAll(source: AsyncIterable<Buffer>): Promise<void> {
  for await (const _ of readExport(source)) continue;
}

async function* endless(): AsyncGenerator<Buffer> {
  const chunk = Buffer.alloc(4 * 1024 * 1024, 'x');
  for (;;) yield await Promise.resolve(chunk);
}

describe('is no export, and says where', () => {
  const [line = '', data = '', end = ''] = message(idA, 'Subject: a\r\n');
  test.each([
    { why: 'an empty file', lines: [], says: 'it is empty' },
    { why: 'another file', lines: ['From joe'], says: 'line 1, before the first message: that is no JSON' },
    { why: 'other JSON', lines: ['{"a":1}'], says: 'no export of `postern queue export`' },
    { why: 'a later version', lines: ['{"export":"postern-queue","version":2}'], says: /^the export is of a newer Postern: its version is 2, this one reads 1/ },
    { why: 'a version that is none', lines: ['{"export":"postern-queue","version":"x"}'], says: 'its version is x, and this Postern reads 1' },
    { why: 'a list', lines: [head, '[]'], says: 'line 2' },
    { why: 'an id that is none', lines: [head, line.replace(idA, '../../x')], says: 'expected a message' },
    { why: 'a message without its length', lines: [head, line.replace('"bytes":12,', '')], says: 'length of message' },
    { why: 'a message without its envelope', lines: [head, `{"message":"${idA}","bytes":1}`], says: 'envelope of message' },
    { why: 'data that is none', lines: [head, line, '{"data":"%%%"}'], says: `line 3, in message ${idA}: data is not base64` },
    { why: 'more data than announced', lines: [head, line, data, data], says: 'more bytes than announced' },
    { why: 'less data than announced', lines: [head, line, end], says: 'it has 0 bytes, 12 were announced' },
    { why: 'another checksum', lines: [head, line, data, end.replace(/"sha256":".{4}/, '"sha256":"0000')], says: `in message ${idA}: its checksum is wrong` },
    { why: 'the end of another message', lines: [head, line, data, end.replace(idA, idB)], says: 'expected its data or its end' },
    { why: 'a message in a message', lines: [head, line, line], says: 'expected its data or its end' },
    { why: 'a message missing in the middle', lines: [head, ...message(idA), '{"messages":2}'], says: `after message ${idA}: it has 1 messages, its last line says 2` },
    { why: 'no last line', lines: [head, ...message(idA)], says: 'its last line is missing' },
    { why: 'two exports in one file', lines: [...whole, ...whole], says: 'more behind its last line' },
  ])('$why', async ({ lines, says }) => {
    await expect(read(textOf(lines))).rejects.toThrow(says);
  }); // prettier-ignore

  test('a cut is said to be in the line that is cut', async () => {
    await expect(read(`${head}\n${line.slice(0, 30)}`)).rejects.toThrow(
      'damaged at line 2, before the first message: it is cut off in the middle of this line',
    );
  });

  test('a line without end', async () => {
    await expect(readAll(endless())).rejects.toThrow(
      'damaged at line 1, before the first message: the line is too long',
    );
  });
});
