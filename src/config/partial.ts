/**
 * The answers that commands beside the server want of a config file: how to reach the admin HTTP, where the users
 * are, and where mail goes in. Faults elsewhere in the file do not keep an operator from asking for the status or
 * stopping the service.
 */
import { resolve } from 'node:path';
import { listenerTls } from './checks.js';
import type { ListenerConfig } from './config.js';
import { overlayEnvironment } from './environment.js';
import { ConfigError } from './faults.js';
import { dataDirOf, foldersOf } from './resolve.js';
import { sections } from './schema.js';
import { ConfigSource } from './source.js';
import { FaultList, validate, valueAt } from './validate.js';

export interface AdminAccess {
  readonly address: string;
  readonly port: number;
  /** Undefined: the one in `<dataDir>/admin.token`. */
  readonly token: string | undefined;
  readonly dataDir: string;
}

/** @throws ConfigError CONFIG_UNREADABLE; CONFIG_INVALID with the faults of `admin` and `dataDir` alone */
export function loadAdminAccess(file: string, env: NodeJS.ProcessEnv): AdminAccess {
  const value = readPart(file, env, ['admin', 'dataDir']);
  const { address, port, token } = sections.admin.parse(valueAt(value, ['admin']));
  const dataDir = sections.dataDir.parse(valueAt(value, ['dataDir']));
  return { address, port, token: token ?? undefined, dataDir: dataDirOf(dataDir, foldersOf(file)) };
}

/** Undefined when the config names none. @throws ConfigError as above, with the faults of `auth` alone */
export function loadUsersPath(file: string, env: NodeJS.ProcessEnv): string | undefined {
  const value = readPart(file, env, ['auth']);
  const path = sections.auth.parse(valueAt(value, ['auth'])).users.file;
  return path === undefined ? undefined : resolve(foldersOf(file).config, path);
}

/** Undefined when the config names none. @throws ConfigError as above, with the faults of `dataDir` alone */
export function loadDataDir(file: string, env: NodeJS.ProcessEnv): string | undefined {
  const written = sections.dataDir.parse(valueAt(readPart(file, env, ['dataDir']), ['dataDir']));
  return written === undefined ? undefined : dataDirOf(written, foldersOf(file));
}

/** Where `postern send` connects. @throws ConfigError as above, with the faults of `listeners` and `tls` alone */
export function loadFirstListener(
  file: string,
  env: NodeJS.ProcessEnv,
): Pick<ListenerConfig, 'address' | 'port' | 'tls'> {
  const value = readPart(file, env, ['listeners', 'tls']);
  const [listener] = sections.listeners.parse(valueAt(value, ['listeners']));
  if (listener === undefined) throw new TypeError('the schema let an empty list of listeners through');
  return { ...listener, tls: listenerTls(listener, valueAt(value, ['tls']) !== undefined) };
}

function readPart(file: string, env: NodeJS.ProcessEnv, keys: readonly string[]): unknown {
  const source = new ConfigSource(file);
  if (!source.readable) throw new ConfigError('CONFIG_INVALID', source.faults);
  const { value, variables } = overlayEnvironment(source.value, env);
  const list = new FaultList(source, variables, value);
  validate(value, list);
  // A fault without a path is one of the whole file: it is no map.
  const faults = list.faults.filter(({ path }) => ['', ...keys].includes(path.split(/[.[]/, 1)[0] ?? ''));
  if (faults.length > 0) throw new ConfigError('CONFIG_INVALID', faults);
  return value;
}
