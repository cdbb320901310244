import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, describe, expect, it } from 'vitest';

import { peerPath, skipReason } from '../support/peers.js';
import { run } from '../support/program.js';
import { deployDirectory } from './files.js';

const unitFile = join(deployDirectory, 'systemd/postern.service');
const unit = readFileSync(unitFile, 'utf8');
const directory = mkdtempSync(join(tmpdir(), 'postern-unit-'));
afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

function setting(name: string): string[] {
  return [...unit.matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].map(([, value]) => value ?? '');
}

describe.skipIf(skipReason('systemd-analyze'))('systemd-analyze', () => {
  it('verify has nothing to say', async () => {
    // It asks whether the programs exist: this machine has Node, not an installed Postern.
    const copy = join(directory, 'postern.service');
    writeFileSync(copy, unit.replaceAll('/usr/bin/postern', process.execPath));
    const result = await run(peerPath('systemd-analyze'), ['verify', '--man=no', copy]);
    const ours = (result.stdout + result.stderr).split('\n').filter((line) => line.includes('postern'));
    expect(ours).toEqual([]);
    expect(result.code).toBe(0);
  });

  it('verify can fail: an unknown setting is reported', async () => {
    const copy = join(directory, 'wrong.service');
    writeFileSync(copy, unit.replaceAll('/usr/bin/postern', process.execPath).replace('LimitCORE=0', 'LimitCORES=0'));
    const result = await run(peerPath('systemd-analyze'), ['verify', '--man=no', copy]);
    expect(result.stdout + result.stderr).toContain('LimitCORES');
  }); // prettier-ignore

  it('security --offline: exposure below 2.0', async () => {
    const result = await run(peerPath('systemd-analyze'), ['security', '--offline=yes', '--threshold=20', '--no-pager', unitFile]);
    expect(result.stdout + result.stderr).toMatch(/Overall exposure level for postern\.service: 1\.\d OK/);
    expect(result.code).toBe(0);
  }); // prettier-ignore
});

describe('the unit', () => {
  it('promises no more than Postern does: no sd_notify, no watchdog', () => {
    expect(setting('Type')).toEqual(['exec']);
    expect(setting('WatchdogSec')).toEqual([]);
  });

  it('leaves the drain its 30 seconds and its workers to the primary', () => {
    expect(Number(setting('TimeoutStopSec')[0])).toBeGreaterThan(30);
    expect(setting('KillMode')).toEqual(['mixed']);
  });

  it('does not forbid what V8 needs', () => {
    expect(setting('MemoryDenyWriteExecute')).toEqual([]);
  });

  it('does not start again after a wrong config (exit code 2)', () => {
    expect(setting('RestartPreventExitStatus')).toEqual(['2']);
  });

  it('runs the command, user and folders that the README installs', () => {
    const readme = readFileSync(join(deployDirectory, 'README.md'), 'utf8');
    const [, program = '', config = ''] =
      /^(\S+) start --config (\S+)$/.exec(setting('ExecStart')[0] ?? '') ?? [];
    expect(readme).toContain(`then the command is \`${program}\``);
    expect(readme).toContain(`/config/examples/mx-relay.yaml" ${config}\n`);
    expect(setting('ExecReload')[0]).toBe(`${program} check --config ${config}`);
    expect(readme).toMatch(new RegExp(`^useradd .* ${setting('User')[0] ?? ''}$`, 'm'));
    expect(readme).toMatch(new RegExp(`^mkdir .* /var/lib/${setting('StateDirectory')[0] ?? ''}$`, 'm'));
  });
});
