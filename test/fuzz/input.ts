/**
 * What the fuzzer feeds to a session: a setup by name, and segments. As text it is one line a segment, so that a find
 * can be read, kept in corpus/ and turned into a transcript.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

import { readTranscripts } from '../support/transcript.js';
import { isSetupName, type SetupName } from './setups.js';

export interface Input {
  readonly setup: SetupName;
  readonly segments: readonly Buffer[];
}

const corpusDirectory = join(import.meta.dirname, 'corpus');
// Longer ones cost more than they find.
const maxSeedBytes = 4000;

export function toText({ setup, segments }: Input): string {
  return [`@ ${setup}`, ...segments.map((segment) => `C> ${escape(segment)}`), ''].join('\n');
}

function fromText(text: string): Input {
  const [head = '', ...lines] = text.trimEnd().split('\n');
  const setup = head.replace(/^@ /, '');
  if (!isSetupName(setup)) throw new SyntaxError(`no setup is named ${setup}`);
  return { setup, segments: lines.map((line) => unescape(line.replace(/^C> ?/, ''))) };
}

function escape(bytes: Buffer): string {
  return bytes
    .toString('latin1')
    .replaceAll(/[^ -[\]-~]/g, (character) =>
      character === '\r'
        ? '\\r'
        : character === '\n'
          ? '\\n'
          : `\\x${character.charCodeAt(0).toString(16).padStart(2, '0')}`,
    );
}

function unescape(text: string): Buffer {
  const plain = text.replaceAll(/\\(?:r|n|x([0-9a-f]{2}))/g, (all, hex: string | undefined) =>
    hex === undefined ? (all === '\\r' ? '\r' : '\n') : String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(plain, 'latin1');
}

/** What was found before and is kept. */
export function savedInputs(): { name: string; input: Input }[] {
  const names = readdirSync(corpusDirectory).filter((name) => name.endsWith('.txt'));
  return names
    .toSorted()
    .map((name) => ({ name, input: fromText(readFileSync(join(corpusDirectory, name), 'utf8')) }));
}

/** The transcripts are good to begin with: each rule is reached by one of them. */
export function seedInputs(): Input[] {
  return readTranscripts(join(import.meta.dirname, '../transcripts')).flatMap(({ steps, settings }) => {
    const segments = steps.flatMap((step) => (step.kind === 'send' ? [step.bytes] : []));
    const setup = setupFor(settings);
    return segments.reduce((sum, { length }) => sum + length, 0) > maxSeedBytes ? [] : [{ setup, segments }];
  });
}

function setupFor(settings: ReadonlyMap<string, string>): SetupName {
  if (settings.get('protocol') === 'lmtp') return 'lmtp';
  if (settings.get('role') === 'submission') return 'submission';
  if (settings.get('tls') === 'inside') return 'tls';
  return settings.has('tls') ? 'starttls' : 'plain';
}

/** Where a find is written by `npm run fuzz`. */
export function corpusFile(name: string): string {
  return join(corpusDirectory, `${name}.txt`);
}
