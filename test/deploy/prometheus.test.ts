import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';

import { peerPath, skipReason } from '../support/peers.js';
import { run } from '../support/program.js';
import { root } from '../support/postern.js';
import { alerts, deployDirectory, panelExpressions, prometheusDirectory, recordedNames, ruleFiles, ruleTestFiles, withVariables } from './files.js'; // prettier-ignore

const directory = mkdtempSync(join(tmpdir(), 'postern-promtool-'));
afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

async function promtool(...args: string[]): Promise<{ code: number | null; output: string }> {
  const result = await run(peerPath('promtool'), args, { cwd: directory });
  return { code: result.code, output: result.stdout + result.stderr };
}

describe.skipIf(skipReason('promtool'))('promtool', () => {
  it('check config: the scrape config and the rules it loads', async () => {
    const result = await promtool('check', 'config', join(prometheusDirectory, 'prometheus.yml'));
    expect(result).toMatchObject({ code: 0, output: expect.stringContaining(`${ruleFiles.length} rule files found`) });
  }); // prettier-ignore

  it('check rules', async () => {
    expect(await promtool('check', 'rules', ...ruleFiles)).toMatchObject({ code: 0 });
  });

  it.each(ruleTestFiles)('test rules %s', { timeout: 120_000 }, async (file) => {
    expect(await promtool('test', 'rules', file)).toEqual({ code: 0, output: expect.stringContaining('SUCCESS') });
  }); // prettier-ignore

  it("every panel's expression parses", async () => {
    const rules = panelExpressions.map(({ expr }, at) => ({ record: `panel:${at}`, expr: withVariables(expr, '1m') }));
    const file = join(directory, 'panels.yml');
    writeFileSync(file, stringify({ groups: [{ name: 'panels', rules }] }));
    const result = await promtool('check', 'rules', file);
    expect(result).toMatchObject({ code: 0, output: expect.stringContaining(`${rules.length} rules found`) });
  }); // prettier-ignore
});

describe('the rules', () => {
  it('every alert is meant by a case of its own name', () => {
    const cases = ruleTestFiles.map((file) => readFileSync(file, 'utf8')).join('\n');
    const meant = new Set([...cases.matchAll(/\{alertname="(\w+)"/g)].map(([, name]) => name));
    expect(alerts.map(({ alert }) => alert).filter((name) => !meant.has(name))).toEqual([]);
  });

  it('no two rules have one name', () => {
    const names = [...alerts.map(({ alert }) => alert), ...recordedNames];
    expect(new Set(names).size).toBe(names.length);
  });

  it('every alert says who, what, and what to do', () => {
    for (const { alert, annotations } of alerts) {
      expect(alert).toMatch(/^Postern[A-Z]\w+$/);
      expect(annotations.summary).toContain('$labels.instance');
      expect(annotations.runbook.length).toBeGreaterThan(40);
    }
  });

  it('runbooks name events, alerts and commands that exist', async () => {
    const text = alerts.map(({ annotations }) => annotations.runbook).join('\n');
    const events = [...text.matchAll(/event ([a-z]+\.[a-z-]+)/g)].map(([, event]) => event ?? '');
    expect(events.length).toBeGreaterThan(0);
    for (const event of events) expect(await sourceMentions(`'${event}'`), event).toBe(true);
    const names = alerts.map(({ alert }) => alert);
    const mentioned = [...text.matchAll(/Postern[A-Z]\w+/g)].map(([name]) => name);
    expect(mentioned.filter((name) => !names.includes(name))).toEqual([]);
    const metrics = readFileSync(join(deployDirectory, 'METRICS.md'), 'utf8');
    for (const [metric] of text.matchAll(/postern_[a-z_]+/g)) expect(metrics).toContain(`\`${metric}\``);
  });
});

async function sourceMentions(text: string): Promise<boolean> {
  return (await run('grep', ['-rqF', text, 'src'], { cwd: root })).code === 0;
}
