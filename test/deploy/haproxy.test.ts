import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { peerPath, skipReason } from '../support/peers.js';
import { run } from '../support/program.js';
import { deployDirectory } from './files.js';

const file = join(deployDirectory, 'haproxy/haproxy.cfg');

describe.skipIf(skipReason('haproxy'))('haproxy', () => {
  it('-c has nothing to say', async () => {
    const result = await run(peerPath('haproxy'), ['-c', '-q', '-f', file]);
    expect(result).toMatchObject({ code: 0, stdout: '', stderr: '' });
  });

  it('sends a header on every connection: a Postern that wants one gets it', () => {
    const servers = [...readFileSync(file, 'utf8').matchAll(/^ +server .*$/gm)].map(([line]) => line);
    expect(servers).toHaveLength(4);
    for (const server of servers) expect(server).toContain(' send-proxy-v2 check ');
  });
});
