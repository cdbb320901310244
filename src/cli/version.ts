/** The version of this package. */
import { readFileSync } from 'node:fs';

// Two folders up from dist/cli/ and from src/cli/ alike.
const manifest: { version: string } = JSON.parse(
  readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
);

export const version = manifest.version;
