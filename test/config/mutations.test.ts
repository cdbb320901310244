/** Whatever an editor leaves behind, a config file is accepted or told its faults: no other error, and none without a place. */
import fc from 'fast-check';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ConfigError } from '../../src/config/faults.js';
import { loadConfig } from '../../src/config/load.js';
import { smallest, temporaryFolder } from './harness.js';

const text = `${smallest}  office: { to: [smtp://10.0.0.5, 'lmtp://[::1]:24'], retry: { first: 1m } }
  pair: { to: [{ hop: smtp://10.0.0.7, weight: 3 }], tls: required, auth: { user: u, password: p }, timeouts: { end: 5m } }
  world: { to: mx }
notifications: { enabled: true, delayAfter: 4h, route: world }
admin: { port: 2580, token: null }
limits: { messageBytes: 25MiB, exempt: [127.0.0.0/8] }
policy: { dnsbl: { lists: [{ zone: bl.example, replies: ['127.0.0.[2..11]'] }] } }
`;

/** A stretch of the text replaced by something that means something to YAML or to the schema. */
const edit = fc.record({
  at: fc.nat({ max: text.length }),
  length: fc.nat({ max: 12 }),
  insert: fc.oneof(
    fc.constantFrom(
      '',
      '\n',
      ' ',
      '\t',
      ':',
      '- ',
      '{',
      '}',
      '[',
      ']',
      '&a ',
      '*a',
      '!x ',
      '"',
      "'",
      '#',
      '|',
      '<<: ',
      '? ',
      '~',
      '.inf',
      '0x10',
      '__proto__: 1',
      'constructor',
    ),
    fc.string({ maxLength: 6 }),
  ),
});

function loadText(file: string, yaml: string): ConfigError | undefined {
  writeFileSync(file, yaml);
  try {
    loadConfig(file, {});
    return undefined;
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
}

test('every edit of a config loads or has faults, each with a place and a text', { timeout: 120_000 }, () => {
  const file = join(temporaryFolder(), 'postern.yaml');
  expect(loadText(file, text)).toBeUndefined();
  let refused = 0;
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 3 }), (edits) => {
      const yaml = edits.reduce(
        (all, { at, length, insert }) => all.slice(0, at) + insert + all.slice(at + length),
        text,
      );
      const error = loadText(file, yaml);
      if (error === undefined) return;
      refused += 1;
      expect(error.faults.length).toBeGreaterThan(0);
      for (const fault of error.faults) {
        expect(fault.place).toMatch(/postern\.yaml(:\d+:\d+)?$/);
        expect(fault.text).not.toBe('');
      }
    }),
    { numRuns: 400 },
  );
  expect(refused).toBeGreaterThan(50);
});
