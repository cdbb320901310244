/**
 * Environment variables that override the file: one for every scalar outside lists and maps, its name made of the
 * path (`POSTERN_LIMITS_MESSAGE_BYTES`). A POSTERN_ variable that names no key is a fault, since a misspelt
 * override that does nothing is found too late.
 */
import { formatPath, nearest, type Fault, type Path } from './faults.js';
import { configKeys, type ConfigKey } from './keys.js';
import { isRecord } from './validate.js';

export const variablePrefix = 'POSTERN_';

/** Variables of ours that override no key. */
const otherVariables: ReadonlySet<string> = new Set([
  'POSTERN_CONFIG',
  'POSTERN_SEND_PASSWORD',
  'POSTERN_SKIP_BUILD',
]);

/** `limits.messageBytes` → `POSTERN_LIMITS_MESSAGE_BYTES` */
export function variableFor(path: Path): string {
  return variablePrefix + path.map((part) => String(part).replace(/[A-Z]/g, '_$&').toUpperCase()).join('_');
}

const noKeys: ReadonlyMap<string, ConfigKey> = new Map();

export interface Overlay {
  /** The file's value with the variables laid over it. */
  readonly value: unknown;
  /** Which variable set a path, by formatPath. */
  readonly variables: ReadonlyMap<string, string>;
  readonly faults: readonly Fault[];
}

export function overlayEnvironment(fileValue: unknown, env: NodeJS.ProcessEnv): Overlay {
  const value: unknown = structuredClone(fileValue);
  const variables = new Map<string, string>();
  const faults: Fault[] = [];
  const ours = Object.entries(env).filter(([variable]) => variable.startsWith(variablePrefix));
  // The table of keys is a fifth of the time that a start takes before its workers: most have no need of it.
  const keys = ours.length === 0 ? noKeys : overridableKeys();
  for (const [variable, text] of ours) {
    if (text === undefined) continue;
    const key = keys.get(variable);
    if (key !== undefined) {
      if (assign(value, key.path, toValue(text, key.types))) variables.set(formatPath(key.path), variable);
    } else if (!isForeign(variable, text)) faults.push(unknownVariable(variable, [...keys.keys()]));
  }
  return { value, variables, faults };
}

function overridableKeys(): ReadonlyMap<string, ConfigKey> {
  return new Map(configKeys().flatMap((key) => (key.overridable ? [[variableFor(key.path), key]] : [])));
}

function unknownVariable(variable: string, known: readonly string[]): Fault {
  const near = nearest(variable, known);
  const hint = near === undefined ? '`postern config reference` lists them' : `did you mean ${near}?`;
  return { place: variable, path: '', text: `found a variable that overrides no config key (${hint})` };
}

/** Tests' variables, and what Docker and Kubernetes set in a container beside a service named postern. */
function isForeign(variable: string, text: string): boolean {
  if (otherVariables.has(variable) || variable.startsWith('POSTERN_TEST_')) return true;
  if (/_SERVICE_(?:HOST|PORT(?:_[A-Z0-9_]+)?)$/.test(variable)) return true;
  if (/_PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?$/.test(variable)) return true;
  return variable.endsWith('_PORT') && /^(?:tcp|udp|sctp):\/\//.test(text);
}

function toValue(text: string, types: readonly string[]): unknown {
  if (types.includes('null') && (text === '' || text === 'null')) return null;
  if (types.includes('boolean') && (text === 'true' || text === 'false')) return text === 'true';
  const numeric = types.includes('integer') || types.includes('number');
  return numeric && /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text;
}

/** False where the file has something else than a map on the way: that is a fault of its own. */
function assign(root: unknown, path: Path, value: unknown): boolean {
  let at = root;
  for (const part of path.slice(0, -1)) {
    if (!isRecord(at) || Array.isArray(at)) return false;
    at = at[part] ??= {};
  }
  if (!isRecord(at) || Array.isArray(at)) return false;
  at[path.at(-1) ?? ''] = value;
  return true;
}
