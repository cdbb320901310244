/** Queue files with known messages, damaged in known ways, and what the salvage reader makes of them. */
import { readFile, writeFile } from 'node:fs/promises';

import type { MessageRecord } from '../../../src/queue/record.js';
import { QueueFileReader } from '../../../src/queue/salvage/queue-file-reader.js';

interface Read {
  readonly id: string;
  readonly record: MessageRecord;
  readonly isCurrent: boolean;
  readonly body: Buffer;
}

export interface Reading {
  readonly messages: readonly Read[];
  readonly unreadable: readonly string[];
  readonly gaps: number;
}

/** All messages that the reader gives out whole. */
export async function readAll(file: string): Promise<Reading> {
  const reader = await QueueFileReader.open(file);
  try {
    const messages: Read[] = [];
    for await (const { id, record, isCurrent, body } of reader.messages()) {
      const whole = await collect(body());
      if (whole !== undefined) messages.push({ id, record, isCurrent, body: whole });
    }
    return { messages, unreadable: [...reader.unreadable.keys()].toSorted(), gaps: reader.gaps };
  } finally {
    await reader.close();
  }
}

/** Undefined: it said that it is not whole. */
async function collect(body: AsyncGenerator<Buffer>): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of body) chunks.push(Buffer.from(chunk));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'SPOOL_CORRUPT') return undefined;
    throw error;
  }
  return Buffer.concat(chunks);
}

export async function change(file: string, edit: (bytes: Buffer) => Buffer | void): Promise<void> {
  const bytes = await readFile(file);
  await writeFile(file, edit(bytes) ?? bytes);
}

export const pageBytes = 4096;

/** Numbers of the pages of a kind: 1 branch, 2 leaf, 4 overflow. */
export function pagesOfKind(bytes: Buffer, kind: number): number[] {
  const numbers: number[] = [];
  for (let number = 2; (number + 1) * pageBytes <= bytes.length; number++) {
    const at = number * pageBytes;
    if (Number(bytes.readBigUInt64LE(at)) === number && bytes.readUInt16LE(at + 18) === kind)
      numbers.push(number);
  }
  return numbers;
}

export function wipePage(bytes: Buffer, number: number): void {
  bytes.fill(0xff, number * pageBytes, (number + 1) * pageBytes);
}
