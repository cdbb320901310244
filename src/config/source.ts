/**
 * A config file as a YAML document: its plain value, and where each key and value stands in it. Knows nothing of
 * what the keys mean.
 */
import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import {
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  visit,
  type Document,
} from 'yaml';
import { describeError, errorCodeOf } from '../base/errors.js';
import { ConfigError, type Fault, type Path } from './faults.js';

// A config of ten thousand domains is below 1 MiB; recipients have files of their own.
const maxConfigBytes = 8 * 2 ** 20;
// Enough for every honest use of anchors, far below a "billion laughs".
const maxAliases = 100;

export class ConfigSource {
  readonly file: string;
  readonly #lines = new LineCounter();
  readonly #document: Document.Parsed;
  #openAliases = 0;
  /** Duplicate keys and the like; with `readable` false, nothing else can be said about the file. */
  readonly faults: Fault[] = [];
  readonly value: unknown;
  readonly readable: boolean;

  /** @throws ConfigError CONFIG_UNREADABLE */
  constructor(file: string) {
    this.file = file;
    this.#document = parseDocument(readConfigFile(file), {
      lineCounter: this.#lines,
      prettyErrors: false,
    });
    for (const error of [...this.#document.errors, ...this.#document.warnings])
      this.faults.push({ place: this.#place(error.pos[0]), path: '', text: describeYamlError(error) });
    this.#findOpenAliases();
    const isTree = this.#document.errors.every((error) => error.code === 'DUPLICATE_KEY');
    this.value = isTree && this.#openAliases === 0 ? this.#plainValue() : undefined;
    this.readable = this.value !== undefined;
  }

  #findOpenAliases(): void {
    visit(this.#document, {
      Alias: (_, alias) => {
        if (alias.resolve(this.#document) !== undefined) return;
        this.#openAliases++;
        const text = `found *${alias.source}, expected an anchor &${alias.source} before it`;
        this.faults.push({ place: this.#place(startOf(alias) ?? 0), path: '', text });
      },
    });
  }

  #plainValue(): unknown {
    try {
      return (this.#document.toJS({ maxAliasCount: maxAliases }) as unknown) ?? {};
    } catch (error) {
      this.faults.push({ place: this.file, path: '', text: describeError(error) });
      return undefined;
    }
  }

  /**
   * Where a path stands: its value, or with `of` 'key' its last key. What is missing stands at the key that it is
   * missing under.
   */
  place(path: Path, of: 'key' | 'value' = 'value'): string {
    let node: unknown = this.#document.contents;
    let keyOffset = startOf(node) ?? 0;
    let valueOffset = keyOffset;
    for (const part of path) {
      const found = child(isAlias(node) ? node.resolve(this.#document) : node, part);
      if (found === undefined) return this.#place(keyOffset);
      keyOffset = startOf(found.key) ?? keyOffset;
      valueOffset = startOf(found.value) ?? keyOffset;
      node = found.value;
    }
    return this.#place(of === 'key' ? keyOffset : valueOffset);
  }

  #place(offset: number): string {
    const { line, col } = this.#lines.linePos(offset);
    return `${this.file}:${Math.max(line, 1)}:${Math.max(col, 1)}`;
  }
}

function child(node: unknown, part: string | number): { key: unknown; value: unknown } | undefined {
  if (isSeq(node)) {
    const item = node.items[Number(part)];
    return item === undefined ? undefined : { key: item, value: item };
  }
  if (!isMap(node)) return undefined;
  // The last of two equal keys is the one that counts.
  return node.items.findLast((pair) => isScalar(pair.key) && String(pair.key.value) === String(part));
}

function startOf(node: unknown): number | undefined {
  return isNode(node) ? node.range?.[0] : undefined;
}

function describeYamlError(error: { code: string; message: string }): string {
  if (error.code === 'DUPLICATE_KEY') return 'found a key that was given before, expected each key once';
  if (error.code === 'TAB_AS_INDENT') return 'found a tab, expected spaces: YAML indents with spaces only';
  return `not valid YAML: ${error.message}`;
}

/** Most often the command was run in another folder than the one that the default path is meant for. */
function hint(file: string, error: unknown): string {
  if (errorCodeOf(error) !== 'ENOENT') return '';
  return `. It was looked for at ${resolve(file)}; name yours with --config FILE or the variable POSTERN_CONFIG`;
}

function readConfigFile(file: string): string {
  try {
    const { size } = statSync(file);
    if (size > maxConfigBytes)
      throw new Error(`it has ${size} bytes; more than ${maxConfigBytes} are not read`);
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new ConfigError(
      'CONFIG_UNREADABLE',
      [
        {
          place: file,
          path: '',
          text: `the config file cannot be read: ${describeError(error)}${hint(file, error)}`,
        },
      ],
      error,
    );
  }
}
