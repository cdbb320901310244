/** The schema's table flattened to one row a key, read from its JSON Schema: for the reference and the environment. */
import { toJSONSchema } from 'zod';
import type { Path } from './faults.js';
import { configSchema } from './schema.js';

export interface ConfigKey {
  /** `*` stands for a name of the operator's own (a route), `[]` for each item of a list. */
  readonly path: Path;
  /** In words; empty for a map that only holds other keys. */
  readonly kind: string;
  /** JSON types that the value can have. */
  readonly types: readonly string[];
  readonly required: boolean;
  /** As written in a file. */
  readonly preset: unknown;
  readonly help: string;
  /** A scalar outside lists and maps: has an environment variable. */
  readonly overridable: boolean;
}

interface SchemaNode {
  type?: string | string[];
  kind?: string;
  description?: string;
  default?: unknown;
  anyOf?: SchemaNode[];
  properties?: Record<string, SchemaNode>;
  required?: string[];
  items?: SchemaNode;
  additionalProperties?: SchemaNode | false;
}

let keys: readonly ConfigKey[] | undefined;

export function configKeys(): readonly ConfigKey[] {
  keys ??= children(rawJsonSchema(), [], true);
  return keys;
}

/** With our `kind` notes still in it. */
export function rawJsonSchema(): object {
  return toJSONSchema(configSchema, { io: 'input' });
}

function children(node: SchemaNode, path: Path, outsideLists: boolean): ConfigKey[] {
  const own = Object.entries(node.properties ?? {}).flatMap(([name, value]) =>
    keyAndChildren(value, [...path, name], node.required?.includes(name) ?? false, outsideLists),
  );
  const options = (node.anyOf ?? []).flatMap((option) => children(option, path, false));
  const items = node.items === undefined ? [] : children(node.items, [...path, '[]'], false);
  const map = node.additionalProperties;
  return [...own, ...options, ...items, ...(map ? children(map, [...path, '*'], false) : [])];
}

function keyAndChildren(node: SchemaNode, path: Path, required: boolean, outsideLists: boolean): ConfigKey[] {
  const types = typesOf(node);
  const overridable = outsideLists && !types.includes('object') && !types.includes('array');
  const key = {
    path,
    kind: node.kind ?? '',
    types,
    required,
    preset: node.default,
    help: node.description ?? '',
    overridable,
  };
  return [key, ...children(node, path, outsideLists)];
}

function typesOf(node: SchemaNode): string[] {
  if (node.anyOf !== undefined) return node.anyOf.flatMap(typesOf);
  return node.type === undefined ? [] : [node.type].flat();
}
