/** What a reload cannot change, since the primary opened or locked it at start. Pure. */
import type { Config, ListenerConfig } from './config.js';

/** Paths of the keys that differ and need a restart; empty: a reload may go on. Listeners are compared by name. */
export function unchangeableKeys(before: Config, after: Config): string[] {
  const keys: string[] = [];
  if (before.dataDir !== after.dataDir) keys.push('dataDir');
  if (before.workers !== after.workers) keys.push('workers');
  if (before.admin.address !== after.admin.address) keys.push('admin.address');
  if (before.admin.port !== after.admin.port) keys.push('admin.port');
  return [...keys, ...listenerKeys(before.listeners, after.listeners)];
}

/** A listener more or less, or one on another socket: what else it has (role, TLS, route) new workers can take up. */
function listenerKeys(before: readonly ListenerConfig[], after: readonly ListenerConfig[]): string[] {
  const old = new Map(before.map((listener) => [listener.name, listener]));
  const keys = after.flatMap((listener) => {
    const same = old.get(listener.name);
    old.delete(listener.name);
    if (same === undefined) return [`listeners.${listener.name}`];
    return (['address', 'port'] as const)
      .filter((key) => same[key] !== listener[key])
      .map((key) => `listeners.${listener.name}.${key}`);
  });
  return [...keys, ...[...old.keys()].map((name) => `listeners.${name}`)];
}
