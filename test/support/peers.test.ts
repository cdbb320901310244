import { describe, expect, it } from 'vitest';
import { Resolver } from 'node:dns/promises';
import { findPeer, skipReason, startDovecotLmtp, startRbldnsd, startSmtpSink } from './peers.js';

describe('Debian peers', () => {
  it.skipIf(skipReason('smtp-sink'))('smtp-sink starts on a free port and stops', async () => {
    const sink = await startSmtpSink();
    await sink.stop();
    expect(sink.program.isRunning).toBe(false);
  });

  it.skipIf(skipReason('dovecot'))('Dovecot takes LMTP and stops', async () => {
    const dovecot = await startDovecotLmtp();
    expect(dovecot.messages('joe')).toEqual([]);
    await dovecot.stop();
    expect(dovecot.program.isRunning).toBe(false);
  });

  it.skipIf(skipReason('rbldnsd'))('rbldnsd answers for its zone', async () => {
    const list = await startRbldnsd('bl.test', ['127.0.0.9 :127.0.0.2:spam']);
    const resolver = new Resolver({ timeout: 2000, tries: 2 });
    resolver.setServers([`127.0.0.1:${list.port}`]);
    expect(await resolver.resolve4('9.0.0.127.bl.test')).toEqual(['127.0.0.2']);
    await list.stop();
  });

  it('a missing program is named with its package', () => {
    const name = 'swaks';
    if (findPeer(name) === undefined) expect(skipReason(name)).toContain('apt-get install swaks');
    else expect(skipReason(name)).toBeUndefined();
  });
});
