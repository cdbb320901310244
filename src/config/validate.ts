/** What the schema finds wrong, told in the words of the file: every issue becomes one fault with its place. */
import type { z } from 'zod';
import { formatPath, nearest, show, type Fault, type Path } from './faults.js';
import { configSchema, type FileConfig } from './schema.js';
import type { ConfigSource } from './source.js';

/** Collects faults; knows for each path whether the file or a variable set it. */
export class FaultList {
  readonly faults: Fault[] = [];
  readonly #source: ConfigSource;
  readonly #variables: ReadonlyMap<string, string>;
  readonly #value: unknown;

  constructor(source: ConfigSource, variables: ReadonlyMap<string, string>, value: unknown) {
    this.#source = source;
    this.#variables = variables;
    this.#value = value;
  }

  /** The config file, as it was named. */
  get file(): string {
    return this.#source.file;
  }

  /** @param of 'key': the fault is in the key itself, not in its value */
  add(path: Path, text: string, of: 'key' | 'value' = 'value'): void {
    const name = formatPath(path);
    const place = this.#variables.get(name) ?? this.#source.place(path, of);
    this.faults.push({ place, path: name, text });
  }

  /** A fault in a line of another file that `path` names. */
  addIn(file: string, line: number, path: Path, text: string): void {
    this.faults.push({ place: `${file}:${line}:1`, path: formatPath(path), text });
  }

  /** `found <what stands there>, expected <expected>` */
  expected(path: Path, expected: string): void {
    const found = isSecret(path) ? 'something else' : show(valueAt(this.#value, path));
    this.add(path, `found ${found}, expected ${expected}`);
  }

  /** Likewise where text is wanted: YAML reads `5` as a number, which is text only in quotes. */
  expectedText(path: Path, expected: string): void {
    const value = valueAt(this.#value, path);
    if (typeof value === 'number' && !isSecret(path))
      this.add(path, `found the number ${value}, expected ${expected}`);
    else this.expected(path, expected);
  }
}

/** A token or password that is wrong is a secret all the same; so is `auth: user:password`. */
function isSecret(path: Path): boolean {
  if (formatPath(path) === 'admin.token') return true;
  if (path[0] === 'auth' && path[1] === 'backend')
    return ['token', 'secret', 'password'].includes(String(path.at(-1)));
  return path[0] === 'routes' && path[2] === 'auth' && (path.length === 3 || path[3] === 'password');
}

/** The typed file, or undefined when `list` has got its faults. */
export function validate(value: unknown, list: FaultList): FileConfig | undefined {
  const result = configSchema.safeParse(value);
  if (result.success) return result.data;
  for (const issue of result.error.issues) report(issue, [], list);
  return undefined;
}

function report(issue: z.core.$ZodIssue, base: Path, list: FaultList): void {
  const path = [...base, ...issue.path.map((part) => (typeof part === 'number' ? part : String(part)))];
  const branch = issue.code === 'invalid_union' ? fittingBranch(issue.errors) : undefined;
  if (branch !== undefined) for (const inner of branch) report(inner, path, list);
  else if (issue.code === 'unrecognized_keys')
    for (const key of issue.keys) unknownKey(path, key, issue, list);
  else if (issue.code === 'invalid_key')
    list.add(path, `found ${show(path.at(-1))}, expected ${issue.issues[0]?.message ?? 'a name'}`, 'key');
  else if (issue.code === 'invalid_type' && issue.expected === 'string')
    list.expectedText(path, issue.message);
  else list.expected(path, issue.message);
}

/** The one option of a union that the value is meant as: its outer type fits. Undefined: none or several. */
function fittingBranch(branches: readonly z.core.$ZodIssue[][]): z.core.$ZodIssue[] | undefined {
  const fitting = branches.filter((issues) => !issues.some(isOfAnotherType));
  return fitting.length === 1 ? fitting[0] : undefined;
}

function isOfAnotherType(issue: z.core.$ZodIssue): boolean {
  return issue.path.length === 0 && (issue.code === 'invalid_type' || issue.code === 'invalid_value');
}

/** The message of such an issue is the list of known keys (fields.ts, section). */
function unknownKey(parent: Path, key: string, issue: z.core.$ZodIssue, list: FaultList): void {
  const near = nearest(key, issue.message.split(', '));
  const hint = near === undefined ? '' : ` (did you mean '${near}'?)`;
  list.add([...parent, key], `found an unknown key${hint}, expected one of ${issue.message}`, 'key');
}

export function valueAt(value: unknown, path: Path): unknown {
  let at = value;
  for (const part of path) {
    if (!isRecord(at) || !Object.hasOwn(at, part)) return undefined;
    at = at[part];
  }
  return at;
}

/** An object or an array; to be read by its own keys only. */
export function isRecord(value: unknown): value is Record<string | number, unknown> {
  return typeof value === 'object' && value !== null;
}
