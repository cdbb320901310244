/**
 * The processes' entries, each with what it loads in few files: a worker resolves and compiles some ten modules in place
 * of two hundred, and opens its listeners in two thirds of the time. The compiler has written each module of src/ to
 * dist/ before (for the library, its types and the tests); here the entries among them are replaced.
 */
import { rmSync } from 'node:fs';
import { rolldown } from 'rolldown';

// Chunks of an earlier build would stay, and be published.
rmSync('dist/chunks', { recursive: true, force: true });

const bundle = await rolldown({
  input: {
    'cli/main': 'src/cli/main.ts',
    'worker/main': 'src/worker/main.ts',
    'pool/thread': 'src/pool/thread.ts',
  },
  platform: 'node',
  // Dependencies stay as npm installed them: they have licences, versions and native parts of their own.
  external: /^[^./]/,
  resolve: { extensionAlias: { '.js': ['.ts'] } },
  transform: { target: 'node20' },
});
await bundle.write({
  dir: 'dist',
  // One folder below dist/, as the modules of src/ are: `new URL('../worker/main.js', import.meta.url)` holds in both.
  chunkFileNames: 'chunks/[name].js',
  // They would only be parsed: the source maps lead to the source.
  comments: false,
  sourcemap: true,
});
