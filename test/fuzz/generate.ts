/** Makes inputs: whole dialogues by the grammar, and changes of bytes and segments in those that are known. */
import type { Random } from '../support/random.js';
import type { Input } from './input.js';
import { setupNames } from './setups.js';

const words = [
  'EHLO t', 'HELO t', 'LHLO t', 'EHLO [192.0.2.1]', 'EHLO [IPv6:2001:db8::1]', 'MAIL FROM:<a@x.test>', 'MAIL FROM:<>',
  'MAIL FROM:<c@x.test>', 'MAIL FROM:<d@x.test>', 'MAIL FROM:<e@x.test>', 'RCPT TO:<b@ok.test>', 'RCPT TO:<later@ok.test>',
  'RCPT TO:<n@no.test>', 'RCPT TO:<Postmaster>', 'DATA', 'RSET', 'NOOP', 'NOOP x', 'VRFY x', 'EXPN x', 'HELP', 'ETRN x.test',
  'QUIT', 'STARTTLS', 'AUTH PLAIN AHUAcA==', 'AUTH PLAIN', 'AUTH PLAIN =', 'AUTH LOGIN', 'AUTH LOGIN dQ==', 'AUTH X', 'dQ==',
  'cA==', 'AHUAcA==', 'AHUAeA==', '*', '.', '..', '', 'Subject: t', ' folded', 'Received: from a by mx.test;', 'BDAT 0',
  'BDAT 0 LAST', 'BDAT 3', 'BDAT 5 LAST', 'BDAT 12', 'BDAT x', 'BDAT 99999999999999999999', 'XCLIENT NAME=x', 'XFORWARD NAME=x',
  'PROXY TCP4 192.0.2.1 192.0.2.2 1 2', 'GET / HTTP/1.1', 'AUTH SCRAM-SHA-256 biwsbj11LHI9YWJj', 'AUTH SCRAM-SHA-256-PLUS cD10bHMtZXhwb3J0ZXIsLG49dSxyPWFiYw==',
  'Yz1iaXdzLHI9YWJjc2VydmVyLHA9QUFBQQ==', 'AUTH CRAM-MD5',
  'dSAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMA==', 'AUTH OAUTHBEARER',
  'bixhPXUsAWF1dGg9QmVhcmVyIGFiYwEB', 'AQ==',
  'AUTH XOAUTH2 dXNlcj11AWF1dGg9QmVhcmVyIGFiYwEB', 'AUTH EXTERNAL =',
  'XCLIENT ADDR=127.0.0.2 LOGIN=u', 'XCLIENT ADDR=192.0.2.1',
  'XFORWARD ADDR=192.0.2.1 HELO=x',
] as const; // prettier-ignore

const parameters = [
  ' SIZE=5', ' SIZE=99999999999999999999', ' BODY=8BITMIME', ' BODY=7BIT', ' BODY=BINARYMIME', ' SMTPUTF8', ' RET=FULL',
  ' ENVID=a+2Bb', ' AUTH=<>', ' AUTH=a+40x', ' NOTIFY=NEVER', ' NOTIFY=SUCCESS,DELAY', ' ORCPT=rfc822;b+2Bc@x.test',
  ' ORCPT=utf-8;\\x{E9}', ' FOO=1', ' SIZE=', ' ',
] as const; // prettier-ignore

const paths = [
  '<"a b"@x.test>', '<"a\\"b"@x.test>', '<@r.test:a@x.test>', '<a@[192.0.2.1]>', '<a@[IPv6:::1]>', '<\xc3\xa9@x.test>',
  '<a@\xc3\xa9.test>', '<\xff@x.test>', '<a@x.test', '<a@@x>', '<.a@x>', '<>', '<postmaster>', '<a%b@ok.test>', '<a!b@ok.test>',
] as const; // prettier-ignore

const lineEnds = [
  '\r\n',
  '\r\n',
  '\r\n',
  '\r\n',
  '\r\n',
  '\r\n',
  '\n',
  '\r',
  '\r\r\n',
  '',
  ' \r\n',
  '\0\r\n',
] as const;
const specials = ['\r', '\n', '\r\n', '.', '\r\n.\r\n', '\r\n.', '\0', ' ', '<', '>', '@', '"', '\\', ':', '=', '+', '\x80', '\xff', 'A'] as const; // prettier-ignore
const maxSegments = 30;
const maxSegmentBytes = 20_000;

export function generate(random: Random): Input {
  const segments: Buffer[] = [];
  for (let count = random.between(1, 12); count > 0; count--) {
    let text = '';
    for (let lines = random.chance(0.6) ? 1 : random.between(1, 6); lines > 0; lines--) text += line(random);
    segments.push(Buffer.from(text, 'latin1'));
  }
  return { setup: random.pick(setupNames), segments };
}

function line(random: Random): string {
  let text: string = random.pick(words);
  if (/^(?:MAIL|RCPT)/.test(text)) {
    if (random.chance(0.2)) text = text.replace(/<.*/, random.pick(paths));
    while (random.chance(0.3)) text += random.pick(parameters);
  }
  if (random.chance(0.02)) text += random.pick(specials).repeat(random.between(1, 3000));
  return text + (random.chance(0.9) ? '\r\n' : random.pick(lineEnds));
}

/** @param other another known input, to take parts of */
export function mutate({ setup, segments }: Input, other: Input, random: Random): Input {
  let changed: readonly Buffer[] = segments;
  for (let changes = random.between(1, 4); changes > 0; changes--) changed = change(changed, other, random);
  return {
    setup: random.chance(0.1) ? random.pick(setupNames) : setup,
    segments: changed
      .filter(({ length }) => length > 0)
      .slice(0, maxSegments)
      .map((segment) => segment.subarray(0, maxSegmentBytes)),
  };
}

function change(segments: readonly Buffer[], other: Input, random: Random): readonly Buffer[] {
  const at = random.between(0, Math.max(0, segments.length - 1));
  const segment = segments[at] ?? Buffer.alloc(0);
  const from = random.between(0, segment.length);
  const to = Math.min(segment.length, from + random.between(0, 10));
  const before = segment.subarray(0, from);
  const replace = (...parts: Buffer[]): readonly Buffer[] => segments.with(at, Buffer.concat(parts));
  if (segments.length === 0) return [Buffer.from(line(random), 'latin1')];
  switch (random.between(0, 9)) {
    case 0:
      return replace(before, Buffer.from([random.between(0, 255)]), segment.subarray(from + 1));
    case 1:
      return replace(before, Buffer.from(random.pick(specials), 'latin1'), segment.subarray(from));
    case 2:
      return replace(before, segment.subarray(to));
    case 3:
      return replace(before, segment.subarray(from, to), segment.subarray(from));
    case 4:
      return segments.toSpliced(at, 1, before, segment.subarray(from));
    case 5:
      return segments.toSpliced(at, 2, Buffer.concat([segment, segments[at + 1] ?? Buffer.alloc(0)]));
    case 6:
      return segments.toSpliced(at, 1);
    case 7:
      return segments.toSpliced(at, 0, Buffer.from(line(random), 'latin1'));
    case 8:
      return [...segments.slice(0, at), ...other.segments.slice(random.between(0, other.segments.length))];
    default: {
      const piece = segment.subarray(from, to);
      const times = random.chance(0.1) ? random.between(1, 1000) : random.between(1, 10);
      return replace(before, ...Array.from({ length: times }, () => piece), segment.subarray(from));
    }
  }
}
