/** From a file and the environment to a checked, frozen Config, or to every fault there is, at once. */
import { checkAuthBackendFiles, readBackendSecrets } from './auth-backend-files.js';
import { checkAcross, partsOf, type Parts } from './checks.js';
import type { Config } from './config.js';
import { overlayEnvironment, variablePrefix } from './environment.js';
import { ConfigError, type Fault } from './faults.js';
import { checkFiles, readRecipients } from './files.js';
import { foldersOf, resolveConfig, type FileContents } from './resolve.js';
import { checkRouteFiles, readPasswords } from './route-files.js';
import { ConfigSource } from './source.js';
import { checkTlsFiles } from './tls-files.js';
import { readTokenFiles } from './token-files.js';
import { FaultList, validate } from './validate.js';

/** @throws ConfigError CONFIG_UNREADABLE, CONFIG_INVALID */
export function loadConfig(file: string, env: NodeJS.ProcessEnv): Config {
  return loadWithPlaces(file, env).config;
}

/** With an empty list that knows where each key stands: for who looks further. @throws ConfigError as above */
export function loadWithPlaces(file: string, env: NodeJS.ProcessEnv): { config: Config; list: FaultList } {
  const source = new ConfigSource(file);
  if (!source.readable) throw configError(source.faults);
  const overlay = overlayEnvironment(source.value, env);
  const list = new FaultList(source, overlay.variables, overlay.value);
  list.faults.push(...source.faults, ...overlay.faults);
  const checked = validate(overlay.value, list);
  const parts = partsOf(overlay.value);
  checkAcross(parts, list);
  const folders = foldersOf(file);
  const contents = lookAtFiles(parts, folders.config, list);
  if (checked === undefined || list.faults.length > 0) throw configError(list.faults);
  return { config: resolveConfig(checked, contents, folders), list };
}

function lookAtFiles(parts: Parts, base: string, list: FaultList): FileContents {
  checkFiles(parts, base, list);
  checkRouteFiles(parts, base, list);
  checkTlsFiles(parts, base, list);
  checkAuthBackendFiles(parts, base, list);
  const recipients = new Map<number, string[]>();
  parts.domains.forEach((domain, index) => {
    if (domain !== undefined) recipients.set(index, readRecipients(domain, index, base, list));
  });
  return {
    recipients,
    passwords: readPasswords(parts, base, list),
    backendSecrets: readBackendSecrets(parts, base, list),
    introspectionSecret: readTokenFiles(parts, base, list),
  };
}

/** In the order of the lines, whichever check found them; variables last. */
export function configError(faults: readonly Fault[]): ConfigError {
  const { compare } = new Intl.Collator('en', { numeric: true });
  const inFiles = faults.filter((fault) => !isVariable(fault)).toSorted((a, b) => compare(a.place, b.place));
  return new ConfigError('CONFIG_INVALID', [...inFiles, ...faults.filter(isVariable)]);
}

function isVariable(fault: Fault): boolean {
  return fault.place.startsWith(variablePrefix);
}
