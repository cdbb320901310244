/** What a reload cannot change, since the primary opened or locked it at start. Pure. */
import type { Config, ListenerConfig } from './config.js';

/** Scalars of which a change needs a restart, by path. */
const fixed: Readonly<Record<string, (config: Config) => string | number>> = {
  dataDir: (config) => config.dataDir,
  workers: (config) => config.workers,
  'admin.address': (config) => config.admin.address,
  'admin.port': (config) => config.admin.port,
};
/** Of a listener; which listeners there are is fixed too. */
const fixedOfListeners = ['address', 'port'] as const;

/** As the reference names them. */
export const restartKeys: readonly string[] = [
  ...Object.keys(fixed),
  'listeners[].name',
  ...fixedOfListeners.map((key) => `listeners[].${key}`),
];

/** Paths of the keys that differ and need a restart; empty: a reload may go on. Listeners are compared by name. */
export function unchangeableKeys(before: Config, after: Config): string[] {
  const keys = Object.entries(fixed).flatMap(([key, read]) => (read(before) === read(after) ? [] : [key]));
  return [...keys, ...listenerKeys(before.listeners, after.listeners)];
}

/** A listener more or less, or one on another socket: what else it has (role, TLS, route) new workers can take up. */
function listenerKeys(before: readonly ListenerConfig[], after: readonly ListenerConfig[]): string[] {
  const old = new Map(before.map((listener) => [listener.name, listener]));
  const keys = after.flatMap((listener) => {
    const same = old.get(listener.name);
    old.delete(listener.name);
    if (same === undefined) return [`listeners.${listener.name}`];
    return fixedOfListeners
      .filter((key) => same[key] !== listener[key])
      .map((key) => `listeners.${listener.name}.${key}`);
  });
  return [...keys, ...[...old.keys()].map((name) => `listeners.${name}`)];
}
