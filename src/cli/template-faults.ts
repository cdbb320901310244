/** The faults of the file with the words of notifications, told as the config's own: exit code 2, before any worker. */
import { readFileSync } from 'node:fs';
import type { Config } from '../config/config.js';
import type { Fault } from '../config/faults.js';
import { parseTemplate } from '../relay/notifications/template.js';

/** At most one, with the file's own line. */
export function templateFaults({ notifications }: Config): Fault[] {
  const file = notifications.templateFile;
  if (file === undefined) return [];
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch {
    return []; // a fault of the config: load.ts names it, with the line of its key
  }
  const { fault } = parseTemplate(bytes);
  return fault === undefined ? [] : [{ place: '', path: '', text: `${file}:${fault}` }];
}
