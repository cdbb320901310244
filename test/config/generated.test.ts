/** The committed reference and editor schema are what the schema makes today; the examples load. */
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseDocument } from 'yaml';
import { loadConfig } from '../../src/config/load.js';
import { configKeys } from '../../src/config/keys.js';
import { restartKeys } from '../../src/config/reload-check.js';
import { configReference, configSchemaJson } from '../../src/config/reference.js';
import { root, temporaryFolder, testCertificate, testKey } from './harness.js';

describe('generated files', () => {
  test('config/reference.md is in step: `npm run generate` brings it there', () => {
    expect(readFileSync(join(root, 'config/reference.md'), 'utf8')).toBe(configReference());
  });

  test('config/postern.schema.json is in step: `npm run generate` brings it there', () => {
    expect(readFileSync(join(root, 'config/postern.schema.json'), 'utf8')).toBe(configSchemaJson());
  });
});

test('the reference names every key that only a restart can change, and each is a key', () => {
  const paths = configKeys().map((key) => key.path.join('.').replaceAll('.[]', '[]'));
  for (const key of restartKeys) {
    expect(paths).toContain(key);
    expect(configReference()).toMatch(new RegExp(`Only a restart .*\`${key.replace('[]', '\\[\\]')}\``, 's'));
  }
});

describe('the table of keys', () => {
  test('has a sentence of help and a kind for each', () => {
    expect(configKeys().filter((key) => !/^\S.*\.$/.test(key.help))).toEqual([]);
    const containers = configKeys().filter((key) => key.kind === '');
    expect(containers.filter((key) => !key.types.includes('object'))).toEqual([]);
  });

  test('has only defaults that the schema accepts', () => {
    const scalars = configKeys().filter(
      (key) => key.overridable && key.preset !== undefined && key.preset !== null,
    );
    const env = Object.fromEntries(
      scalars
        // Of sections that are off, one key alone makes no section.
        .filter(
          (key) => !['dnsbl', 'tokens'].some((name) => key.path.includes(name)) && key.path[0] !== 'tls',
        )
        .map((key) => [
          `POSTERN_${key.path.join('_').replace(/[A-Z]/g, '_$&').toUpperCase()}`,
          String(key.preset),
        ]),
    );
    const file = join(root, 'config/postern.yaml');
    expect(loadConfig(file, env).limits).toEqual(loadConfig(file, {}).limits);
    expect(Object.keys(env).length).toBeGreaterThan(20);
  });
});

describe('config/postern.yaml', () => {
  const file = join(root, 'config/postern.yaml');

  test('works as it is, on the ports and for the domains that newcomers are told', () => {
    const config = loadConfig(file, {});
    expect(config.listeners).toMatchObject([{ address: '127.0.0.1', port: 2525, role: 'inbound' }]);
    expect(config.admin).toMatchObject({ address: '127.0.0.1', port: 2580 });
    expect(config.domains.flatMap(({ names }) => names)).toEqual(['localhost', 'example.test']);
    expect(config.routes['disk']?.hops).toEqual([{ kind: 'maildir', path: join(config.dataDir, 'maildir') }]);
    expect(config.dataDir).toBe(join(process.cwd(), 'data'));
  });
});

/** A folder with all the files that the examples name. */
function examples(): string {
  const folder = temporaryFolder();
  cpSync(join(root, 'config/examples'), folder, { recursive: true });
  mkdirSync(join(folder, 'tls'));
  cpSync(testCertificate, join(folder, 'tls/fullchain.pem'));
  cpSync(testKey, join(folder, 'tls/privkey.pem'));
  cpSync(testCertificate, join(folder, 'tls/office-ca.pem'));
  writeFileSync(join(folder, 'users.yaml'), 'users: {}\n');
  writeFileSync(join(folder, 'recipients.txt'), 'info\nalice@example.org\n');
  return folder;
}

describe('examples', () => {
  const names = readdirSync(join(root, 'config/examples')).filter((name) => name.endsWith('.yaml'));

  test('there are some', () => {
    expect(names).toContain('mx-relay.yaml');
    expect(names).toContain('lmtp-dovecot.yaml');
    expect(names).toContain('outbound-submission.yaml');
  });

  test.each(names)('%s loads once its certificate and lists are there', (name) => {
    const config = loadConfig(join(examples(), name), {});
    expect(config.listeners.length).toBeGreaterThan(0);
    expect(config.tls).toBeDefined();
  });

  test.each([...names.map((name) => `examples/${name}`), 'postern.yaml'])(
    '%s names the editor schema',
    (name) => {
      const text = readFileSync(join(root, 'config', name), 'utf8');
      const schema = name.startsWith('examples/') ? '../postern.schema.json' : './postern.schema.json';
      expect(text.split('\n')[0]).toBe(`# yaml-language-server: $schema=${schema}`);
      expect(parseDocument(text).errors).toEqual([]);
    },
  );
});
