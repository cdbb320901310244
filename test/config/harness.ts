/** Config files in a temporary folder of the test's own, and their faults without the folder's name. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterAll } from 'vitest';
import type { Config } from '../../src/config/config.js';
import { ConfigError } from '../../src/config/faults.js';
import { loadConfig } from '../../src/config/load.js';

export const root = resolve(import.meta.dirname, '../..');
export const testCertificate = join(root, 'test/support/tls/localhost.crt');
export const testKey = join(root, 'test/support/tls/localhost.key');

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'postern-config-'));
  folders.push(folder);
  return folder;
}

/** Writes `postern.yaml` and whatever else, by relative path. @returns the config file */
export function writeConfig(yaml: string, others: Readonly<Record<string, string>> = {}): string {
  const folder = temporaryFolder();
  for (const [name, text] of Object.entries({ ...others, 'postern.yaml': yaml })) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return join(folder, 'postern.yaml');
}

export function load(
  yaml: string,
  env: NodeJS.ProcessEnv = {},
  others: Readonly<Record<string, string>> = {},
): Config {
  return loadConfig(writeConfig(yaml, others), env);
}

/** The faults, one line each, with file names relative to the config's folder. */
export function faultsOf(
  yaml: string,
  env: NodeJS.ProcessEnv = {},
  others: Readonly<Record<string, string>> = {},
): string[] {
  const file = writeConfig(yaml, others);
  try {
    loadConfig(file, env);
  } catch (error) {
    if (error instanceof ConfigError)
      return error
        .format()
        .replaceAll(`${dirname(file)}/`, '')
        .split('\n');
    throw error;
  }
  throw new Error('the config has no faults');
}

/** A right config in the fewest lines; each test adds the one that it is about. */
export const smallest = `hostname: mx.example.test
listeners:
  - { name: mx, address: 127.0.0.1, port: 2525 }
domains:
  - { names: [example.test], route: disk }
routes:
  disk: { to: 'maildir:./maildir' }
`;

export const withTls = `tls: { certificate: ${testCertificate}, key: ${testKey} }\n`;
