/** Builds dist/ once per test run: worker processes and pool threads run the built code, as in production. */
import { spawnSync } from 'node:child_process';

export default function build(): void {
  if (process.env['POSTERN_SKIP_BUILD'] === '1') return;
  const result = spawnSync('npm', ['run', '--silent', 'build'], { encoding: 'utf8' });
  // Each project of vitest.config.ts calls this: once is enough, and later ones would replace files in use.
  process.env['POSTERN_SKIP_BUILD'] = '1';
  if (result.status !== 0) throw new Error(`the build failed:\n${result.stdout}${result.stderr}`);
}
