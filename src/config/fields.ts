/**
 * The kinds of value a config key can have, as zod types. Each carries its bounds and says what it expects in words
 * that fit behind "expected": that text is the message of every issue, and the type column of the reference.
 */
import { isIP } from 'node:net';
import { z } from 'zod';
import { parseBytes, parseDurationMs } from '../base/units.js';

/** A map with these keys and no others. An unknown key's message lists the known ones. */
export function section<S extends z.core.$ZodLooseShape>(shape: S): z.ZodObject<S, z.core.$strict> {
  const known = Object.keys(shape);
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === 'unrecognized_keys' ? known.join(', ') : `a map of ${known.join(', ')}`,
  });
}

/** The key `kind` is for the reference; the published schema leaves it out. */
export function text(expected: string, accepts: (value: string) => boolean) {
  return z.string({ error: expected }).refine(accepts, { error: expected }).meta({ kind: expected });
}

export function choice<const V extends readonly string[]>(values: V) {
  const expected = values.length === 1 ? (values[0] ?? '') : `one of ${values.join(', ')}`;
  return z.enum(values, { error: expected }).meta({ kind: expected });
}

export function integer(min: number, max: number, expected = `a whole number from ${min} to ${max}`) {
  const error = { error: expected };
  return z.int(error).min(min, error).max(max, error).meta({ kind: expected });
}

/** Any number, not only a whole one. */
export function decimal(min: number, max: number) {
  const expected = `a number from ${min} to ${max}`;
  const error = { error: expected };
  return z.number(error).min(min, error).max(max, error).meta({ kind: expected });
}

export function flag() {
  const expected = 'true or false';
  return z.boolean({ error: expected }).meta({ kind: expected });
}

/** A size in human units; bytes afterwards. */
export function size(min: string, max: string) {
  return quantity('a size', 'B, KiB, MiB, GiB or TiB', /^\d+(\.\d+)? ?(B|[kK]B|[MGT]B|[KMGT]iB)?$/, {
    parse: parseBytes,
    min,
    max,
  });
}

/** A duration in human units; milliseconds afterwards. */
export function duration(min: string, max: string) {
  return quantity('a duration', 'ms, s, m, h or d', /^(\d+(\.\d+)? ?(ms|s|m|h|d) ?)+$|^0$/, {
    parse: parseDurationMs,
    min,
    max,
  });
}

interface Quantity {
  parse(text: string): number | undefined;
  min: string;
  max: string;
}

function quantity(noun: string, units: string, pattern: RegExp, quantity: Quantity) {
  const { min, max } = quantity;
  const lowest = quantity.parse(min) ?? 0;
  const highest = quantity.parse(max) ?? 0;
  const expected = `${noun} from ${min} to ${max}, in ${units}`;
  const written = z.union([z.string().meta({ pattern: pattern.source }), z.number()], { error: expected });
  return written
    .transform((raw, context) => {
      const value = quantity.parse(String(raw));
      if (value !== undefined && value >= lowest && value <= highest) return value;
      context.addIssue({ code: 'custom', message: expected, input: raw });
      return z.NEVER;
    })
    .meta({ kind: `${noun} from ${min} to ${max}` });
}

export function ipAddress() {
  return text('an IP address', (value) => isIP(value) !== 0);
}

/** A file or folder; what relative paths start at is the resolver's. */
export function path() {
  return text('a path', (value) => value !== '' && !value.includes('\0'));
}

/** Names that become labels of metrics, parts of file names, of destinations and of environment variables. No slash:
 *  base/destination.ts ends a route's name there. */
export function name() {
  return text('a name of up to 32 letters, digits, - and _', isName);
}

function isName(value: string): boolean {
  return /^[a-z0-9][a-z0-9_-]{0,31}$/i.test(value);
}

/** Text in a form of its own; what `parse` makes of it afterwards. */
export function parsedText<T>(expected: string, parse: (text: string) => T | undefined) {
  return z
    .string({ error: expected })
    .transform((raw, context) => {
      const value = parse(raw);
      if (value !== undefined) return value;
      context.addIssue({ code: 'custom', message: expected, input: raw });
      return z.NEVER;
    })
    .meta({ kind: expected });
}

export function listOf<T extends z.ZodType>(item: T, noun: string, min: number, max: number) {
  const expected = min === 0 ? `a list of up to ${max} ${noun}` : `a list of ${min} to ${max} ${noun}`;
  const error = { error: expected };
  return z.array(item, error).min(min, error).max(max, error).meta({ kind: expected });
}
