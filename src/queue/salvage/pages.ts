/**
 * The pages of an LMDB data file as lmdb-js 3.5.6 writes them (its mdb.c: MDB_page_header, MDB_meta, MDB_node,
 * MDB_ovpage; 64 bit, little-endian, PAGEBASE 24). Pure: bytes in, what they say out; whatever is out of bounds is
 * damage, never an exception. Pages have no checksums, so that nothing here proves a value: records and bodies have
 * checksums of their own.
 */
import { isQueueId } from '../../base/ids.js';
import { idOf } from '../keys.js';

export const pageHeaderBytes = 24;
/** Up to and with the transaction id. */
export const metaBytes = pageHeaderBytes + 136;

const nodeHeaderBytes = 8;
const overflowRefBytes = 24;
const magic = 0xbeefc0de;
const dataVersion = 2;
const branchFlag = 0x01;
const leafFlag = 0x02;
const metaFlag = 0x08;
// Of branch, leaf, overflow, meta, fixed-size duplicates and sub-page exactly one is right; higher bits are bookkeeping.
const kindFlags = 0x6f;
const bigDataFlag = 0x01;
const noPage = 0xffff_ffff_ffff_ffffn;

export interface Meta {
  readonly pageBytes: number;
  /** Of the records; undefined: there are none. */
  readonly root: number | undefined;
  /** How many. */
  readonly records: number;
  readonly transaction: number;
}

/** @param page at least `metaBytes` */
export function parseMeta(page: Buffer): Meta | undefined {
  if (kindOf(page) !== metaFlag) return undefined;
  const meta = page.subarray(pageHeaderBytes);
  if (meta.readUInt32LE(0) !== magic || (meta.readUInt32LE(4) & 0xffff) !== dataVersion) return undefined;
  const pageBytes = meta.readUInt32LE(24);
  if (!isPageSize(pageBytes)) return undefined;
  const root = meta.readBigUInt64LE(112);
  return {
    pageBytes,
    root: root === noPage ? undefined : Number(root),
    records: Number(meta.readBigUInt64LE(104)),
    transaction: Number(meta.readBigUInt64LE(128)),
  };
}

function isPageSize(bytes: number): boolean {
  return bytes >= 4096 && bytes <= 65_536 && (bytes & (bytes - 1)) === 0;
}

/** Where a value lies: in the leaf itself, or on pages of its own. */
export type ValuePlace =
  | { readonly kind: 'inline'; readonly bytes: Buffer }
  | { readonly kind: 'pages'; readonly page: number; readonly bytes: number };

interface LeafNode {
  /** latin1, so that text compares as bytes do. */
  readonly key: string;
  readonly value: ValuePlace;
}

export interface Leaf {
  readonly kind: 'leaf';
  readonly transaction: number;
  /** Ascending. */
  readonly nodes: readonly LeafNode[];
  /** Not all that it held can be told any more. */
  readonly isDamaged: boolean;
}

export interface Branch {
  readonly kind: 'branch';
  readonly transaction: number;
  /** In order. */
  readonly children: readonly number[];
  readonly isDamaged: boolean;
}

/** Undefined: not a page of the tree, or not the one of that number. */
export function parseTreePage(page: Buffer, number: number): Leaf | Branch | undefined {
  if (!isNumbered(page, number)) return undefined;
  const kind = kindOf(page);
  if (kind === leafFlag) return parseLeaf(page);
  if (kind === branchFlag) return parseBranch(page);
  return undefined;
}

/** Whether the page bears its own number, as all do that are no part of a longer value. */
export function isNumbered(page: Buffer, number: number): boolean {
  return page.readBigUInt64LE(0) === BigInt(number);
}

function kindOf(page: Buffer): number {
  return page.readUInt16LE(18) & kindFlags;
}

function transactionOf(page: Buffer): number {
  return Number(page.readBigUInt64LE(8));
}

/** Where the nodes begin; `lower` and `upper` of the header bound the free space between the list of them and them. */
function nodesOf(page: Buffer): { readonly places: readonly number[]; readonly isDamaged: boolean } {
  const lower = page.readUInt16LE(20);
  const upper = page.readUInt16LE(22) + pageHeaderBytes;
  const listed = lower >> 1;
  const fitting = Math.min(listed, (page.length - pageHeaderBytes) >> 1);
  const places: number[] = [];
  for (let i = 0; i < fitting; i++) {
    const at = page.readUInt16LE(pageHeaderBytes + 2 * i) + pageHeaderBytes;
    if (at + nodeHeaderBytes <= page.length) places.push(at);
  }
  const isSound = places.length === listed && lower + pageHeaderBytes <= upper && upper <= page.length;
  return { places, isDamaged: !isSound };
}

function parseBranch(page: Buffer): Branch {
  const { places, isDamaged } = nodesOf(page);
  const children = places.map((at) => page.readUIntLE(at, 6));
  return { kind: 'branch', transaction: transactionOf(page), children, isDamaged };
}

function parseLeaf(page: Buffer): Leaf {
  const { places, isDamaged } = nodesOf(page);
  const nodes = places.map((at) => parseNode(page, at)).filter((node) => node !== undefined);
  const isInOrder = nodes.every(({ key }, i) => i === 0 || key > (nodes[i - 1]?.key ?? ''));
  return {
    kind: 'leaf',
    transaction: transactionOf(page),
    nodes: isInOrder ? nodes : nodes.toSorted((a, b) => (a.key < b.key ? -1 : 1)),
    isDamaged: isDamaged || !isInOrder || nodes.length < places.length,
  };
}

function parseNode(page: Buffer, at: number): LeafNode | undefined {
  const valueBytes = page.readUInt32LE(at);
  const flags = page.readUInt16LE(at + 4);
  const valueAt = at + nodeHeaderBytes + page.readUInt16LE(at + 6);
  const storedBytes = flags === bigDataFlag ? overflowRefBytes : valueBytes;
  if ((flags !== 0 && flags !== bigDataFlag) || valueAt + storedBytes > page.length) return undefined;
  const key = page.subarray(at + nodeHeaderBytes, valueAt);
  if (!isOurs(key)) return undefined;
  const value: ValuePlace =
    flags === bigDataFlag
      ? { kind: 'pages', page: Number(page.readBigUInt64LE(valueAt)), bytes: valueBytes }
      : { kind: 'inline', bytes: page.subarray(valueAt, valueAt + storedBytes) };
  return { key: key.toString('latin1'), value };
}

/** Keys as keys.ts makes them; a file of ours has no others. */
function isOurs(key: Buffer): boolean {
  switch (key.length) {
    case 1:
      return key[0] === 0x66;
    case 17:
      return key[0] === 0x65 && isQueueId(idOf(key));
    case 21:
      return key[0] === 0x62 && isQueueId(idOf(key));
    default:
      return false;
  }
}
