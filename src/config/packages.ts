/** Packages that only some configs need, told when one is missing: at `postern check`, not at the first login. */
import { createRequire } from 'node:module';
import type { Path } from './faults.js';
import type { FaultList } from './validate.js';

/** @param found what needs it, in words: `a directory` */
export function checkPackage(name: string, path: Path, found: string, list: FaultList): void {
  if (isInstalled(name)) return;
  list.add(
    path,
    `found ${found}, expected the package ${name} beside Postern: \`npm install ${name}\` (with -g if Postern is installed so)`,
    'key',
  );
}

function isInstalled(name: string): boolean {
  try {
    createRequire(import.meta.url).resolve(name);
    return true;
  } catch {
    return false;
  }
}
