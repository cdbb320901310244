/**
 * Reads test/transcripts/*.smtp: SMTP conversations that a postmaster can read, each opening with the rule it shows.
 * The same file runs against the pure session (whole segments and single bytes) and against a worker's socket.
 *
 *   # text                  the rule; at least one such line, first
 *   @ key value             a setting of the server: tls off|starttls|required|inside, role, protocol, auth, a limit's name
 *   @ xclient               the client is trusted with XCLIENT and XFORWARD, as is all of 127.0.0.0/8
 *   @ whole                 only true of whole segments (what came in one packet matters)
 *   C: text                 the client sends the line and CR LF; neighbouring C lines are one segment
 *   C> text                 the same without CR LF
 *   S: prefix               the next reply begins so
 *   S+ text / S- text       that reply has (has not) a line with this text behind its code
 *   Q: <from> <to>... body  the next message that was queued; the body may follow in further `Q> ` lines
 *   TLS                     STARTTLS was accepted: handshake, go on inside TLS
 *   CLOSE reason            the server closes; the reason may be left out
 *
 * In C, Q text: \r \n \t \0 \\ \xHH, and {N*text} for text repeated N times.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';

export type Step =
  | { readonly kind: 'send'; bytes: Buffer }
  | { readonly kind: 'expect'; readonly prefix: string; readonly has: string[]; readonly lacks: string[] }
  | { readonly kind: 'queued'; readonly from: string; readonly to: readonly string[]; body: Buffer }
  | { readonly kind: 'tls' }
  | { readonly kind: 'close'; readonly reason: string | undefined };

export interface Transcript {
  readonly name: string;
  readonly rule: string;
  readonly settings: ReadonlyMap<string, string>;
  /** Fed byte by byte it would mean something else. */
  readonly wholeOnly: boolean;
  readonly steps: readonly (Step & { readonly line: number })[];
}

export function readTranscripts(directory: string): Transcript[] {
  const files = readdirSync(directory).filter((file) => file.endsWith('.smtp'));
  return files
    .toSorted()
    .map((file) => parseTranscript(basename(file, '.smtp'), readFileSync(join(directory, file), 'utf8')));
}

function parseTranscript(name: string, text: string): Transcript {
  const rule: string[] = [];
  const settings = new Map<string, string>();
  const steps: (Step & { line: number })[] = [];
  text.split('\n').forEach((content, index) => {
    const line = index + 1;
    const [, mark = '', rest = ''] = /^(#|@|C:|C>|S:|S\+|S-|Q:|Q>|TLS|CLOSE)(?: (.*))?$/.exec(content) ?? [];
    const last = steps.at(-1);
    if (content === '') return;
    if (mark === '') throw new SyntaxError(`${name}:${line}: not a line of a transcript: ${content}`);
    if (mark === '#') rule.push(rest);
    else if (mark === '@') settings.set(...splitSetting(rest));
    else if (mark === 'C:' || mark === 'C>') {
      const bytes = decode(mark === 'C:' ? `${rest}\\r\\n` : rest);
      if (last?.kind === 'send') last.bytes = Buffer.concat([last.bytes, bytes]);
      else steps.push({ kind: 'send', bytes, line });
    } else if (mark === 'S:') steps.push({ kind: 'expect', prefix: rest, has: [], lacks: [], line });
    else if (mark === 'S+' && last?.kind === 'expect') last.has.push(rest);
    else if (mark === 'S-' && last?.kind === 'expect') last.lacks.push(rest);
    else if (mark === 'Q:') steps.push({ ...queued(rest), line });
    else if (mark === 'Q>' && last?.kind === 'queued') last.body = Buffer.concat([last.body, decode(rest)]);
    else if (mark === 'TLS') steps.push({ kind: 'tls', line });
    else if (mark === 'CLOSE') steps.push({ kind: 'close', reason: rest === '' ? undefined : rest, line });
    else throw new SyntaxError(`${name}:${line}: ${mark} has nothing to belong to`);
  });
  if (rule.length === 0) throw new SyntaxError(`${name}: a transcript opens with the rule it shows`);
  return { name, rule: rule.join(' '), settings, wholeOnly: settings.has('whole'), steps };
}

function splitSetting(text: string): [string, string] {
  const [key = '', ...value] = text.split(' ');
  return [key, value.join(' ')];
}

function queued(text: string): Extract<Step, { kind: 'queued' }> {
  const match = /^<([^ ]*)>((?: <[^ ]*>)+) ?(.*)$/.exec(text);
  if (match === null) throw new SyntaxError(`Q: <from> <to>... body, not: ${text}`);
  const [, from = '', to = '', body = ''] = match;
  return {
    kind: 'queued',
    from,
    to: to
      .trim()
      .split(' ')
      .map((path) => path.slice(1, -1)),
    body: decode(body),
  };
}

/** Characters beyond ASCII stand for their UTF-8 octets. */
function decode(text: string): Buffer {
  const repeated = text.replaceAll(/\{(\d+)\*([^}]*)\}/g, (_, count: string, what: string) =>
    what.repeat(Number(count)),
  );
  const parts = repeated.split(/(\\(?:[rnt0\\]|x[0-9a-fA-F]{2}))/);
  return Buffer.concat(
    parts.map((part, index) => (index % 2 === 0 ? Buffer.from(part, 'utf8') : escaped(part))),
  );
}

const escapes: Readonly<Record<string, number>> = { r: 13, n: 10, t: 9, '0': 0, '\\': 92 };

function escaped(sequence: string): Buffer {
  const kind = sequence.charAt(1);
  return Buffer.from([kind === 'x' ? Number.parseInt(sequence.slice(2), 16) : (escapes[kind] ?? 0)]);
}
