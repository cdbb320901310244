/** A notification in the eyes of Python's email package: an independent reader of RFC 3464 and 6522. */
import { join } from 'node:path';

import { peerPath } from './peers.js';
import { run } from './program.js';

export interface ReadReport {
  readonly header: Readonly<Record<string, string>>;
  readonly type: string;
  readonly reportType: string;
  readonly partTypes: readonly string[];
  /** Decoded, LF line ends. */
  readonly text: string;
  readonly message: Readonly<Record<string, string>>;
  readonly recipients: readonly Readonly<Record<string, string>>[];
  /** What came back of the original, decoded. */
  readonly original: string | null;
}

/** Needs the peer python3. @param files each a whole message. @throws Error where one does not parse */
export async function readReports(...files: string[]): Promise<ReadReport[]> {
  const script = join(import.meta.dirname, 'read-report.py');
  const { code, stdout, stderr } = await run(peerPath('python3'), [script, ...files]);
  if (code !== 0) throw new Error(`read-report.py: ${stderr}`);
  return stdout.split('\n').map((line) => JSON.parse(line) as ReadReport);
}
