/** A DNS server that says what a test tells it to: records, a CNAME to itself, an error, or nothing. UDP, loopback. */
import { createSocket, type RemoteInfo } from 'node:dgram';
import { once } from 'node:events';

export type FakeRecord =
  | { readonly mx: string; readonly preference: number }
  | { readonly cname: string }
  | { readonly address: string };

export type FakeReply =
  /** Those of the type that was asked for; none is NODATA. A CNAME answers every question. */
  | { readonly records: readonly FakeRecord[]; readonly ttlSeconds?: number; readonly delayMs?: number }
  /** Whatever was asked for. */
  | { readonly addresses: readonly string[]; readonly ttlSeconds?: number; readonly delayMs?: number }
  | 'nxdomain'
  | 'servfail'
  | 'cname-loop'
  | 'silence';

export interface FakeDns {
  /** As node:dns and the config write it: `127.0.0.1:40000`. */
  readonly server: string;
  /** The names asked for, in order, lower case. */
  readonly names: readonly string[];
  close(): Promise<void>;
}

const typeA = 1;
const typeCname = 5;
const typeMx = 15;
const typeAaaa = 28;

export async function startFakeDns(reply: (name: string, type: number) => FakeReply): Promise<FakeDns> {
  const socket = createSocket('udp4');
  const names: string[] = [];
  let closed = false;
  socket.on('message', (query, from) => {
    const question = readQuestion(query);
    names.push(question.name);
    const told = reply(question.name, question.type);
    if (told === 'silence') return;
    const delayMs = typeof told === 'object' ? (told.delayMs ?? 0) : 0;
    const send = (): void => {
      if (!closed) sendReply(query, question, told, from);
    };
    if (delayMs === 0) send();
    else setTimeout(send, delayMs).unref();
  });
  const sendReply = (query: Buffer, question: Question, told: Told, from: RemoteInfo): void => {
    socket.send(encode(query, question, told), from.port, from.address);
  };
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return {
    server: `127.0.0.1:${socket.address().port}`,
    names,
    close: async () => {
      closed = true;
      socket.close();
      await once(socket, 'close');
    },
  };
}

type Told = Exclude<FakeReply, 'silence'>;

interface Question {
  readonly name: string;
  readonly type: number;
  /** Where it ends in the query. */
  readonly end: number;
}

/** RFC 1035 §4.1.2. Clients do not compress the question. */
function readQuestion(query: Buffer): Question {
  const labels: string[] = [];
  let at = 12;
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join('.').toLowerCase(), type: query.readUInt16BE(at + 1), end: at + 5 };
}

/** RFC 1035 §4.1.1: the query's id and question, QR and RA set, then the answers. */
function encode(query: Buffer, question: Question, told: Told): Buffer {
  const answers = answersOf(told, question.type);
  const header = Buffer.alloc(12);
  query.copy(header, 0, 0, 2);
  header.writeUInt16BE(0x8180 | rcodeOf(told), 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(answers.length, 6);
  return Buffer.concat([header, query.subarray(12, question.end), ...answers]);
}

function rcodeOf(told: Told): number {
  if (told === 'servfail') return 2;
  return told === 'nxdomain' ? 3 : 0;
}

function answersOf(told: Told, asked: number): Buffer[] {
  // A pointer to the question's name, which stands at offset 12: the name is its own alias.
  if (told === 'cname-loop') return [record(typeCname, 60, Buffer.from([0xc0, 12]))];
  if (typeof told !== 'object') return [];
  const ttlSeconds = told.ttlSeconds ?? 60;
  if ('addresses' in told)
    return told.addresses.map((address) =>
      record(typeA, ttlSeconds, Buffer.from(address.split('.').map(Number))),
    );
  return told.records
    .map(encoded)
    .filter(({ type }) => type === asked || type === typeCname)
    .map(({ type, data }) => record(type, ttlSeconds, data));
}

function encoded(told: FakeRecord): { readonly type: number; readonly data: Buffer } {
  if ('cname' in told) return { type: typeCname, data: encodeName(told.cname) };
  if ('address' in told) {
    if (!told.address.includes(':'))
      return { type: typeA, data: Buffer.from(told.address.split('.').map(Number)) };
    return { type: typeAaaa, data: encodeV6(told.address) };
  }
  const preference = Buffer.alloc(2);
  preference.writeUInt16BE(told.preference);
  return { type: typeMx, data: Buffer.concat([preference, encodeName(told.mx)]) };
}

/** `` and `.` are the root. */
function encodeName(name: string): Buffer {
  const labels = name.split('.').filter((label) => label !== '');
  const parts = labels.map((label) => {
    const bytes = Buffer.from(label);
    return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  });
  return Buffer.concat([...parts, Buffer.from([0])]);
}

function groupsOf(part: string): number[] {
  return part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16));
}

/** One `::` at most; no dotted part. */
function encodeV6(address: string): Buffer {
  const [head = '', tail = ''] = address.split('::');
  const [left, right] = [groupsOf(head), groupsOf(tail)];
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => 0);
  const bytes = Buffer.alloc(16);
  for (const [index, group] of [...left, ...zeros, ...right].entries()) bytes.writeUInt16BE(group, index * 2);
  return bytes;
}

function record(type: number, ttlSeconds: number, data: Buffer): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt16BE(0xc00c, 0);
  head.writeUInt16BE(type, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt32BE(ttlSeconds, 6);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}
