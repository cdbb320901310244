import { join } from 'node:path';

import { describe, expect, it } from 'vitest';
import { z } from 'zod';

import { dashboard, deployDirectory, panelExpressions, readYaml } from './files.js';

const { panels } = dashboard;
const queried = panels.filter(({ type }) => type !== 'row');

describe('the dashboard', () => {
  it('has the rows that the issue asks for', () => {
    const rows = panels.filter(({ type }) => type === 'row').map(({ title }) => title);
    expect(rows).toEqual(
      expect.arrayContaining(['Connections', 'Throughput', 'Rejections', 'Latency by stage', 'Queue', 'Relay', 'Workers']),
    );
  }); // prettier-ignore

  it('shows rejections by stage and by reason', () => {
    const expressions = panelExpressions.map(({ expr }) => expr).filter((expr) => expr.includes('postern_rejections_total'));
    for (const label of ['stage', 'reason']) expect(expressions.some((expr) => expr.includes(`by (${label})`))).toBe(true);
  }); // prettier-ignore

  it('every panel has its own id, a question and a sentence that says what it shows', () => {
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    for (const { title, description = '', targets = [] } of queried) {
      expect(targets.length, title).toBeGreaterThan(0);
      expect(description, title).toMatch(/\.$/);
      expect(new Set(targets.map(({ refId }) => refId)).size, title).toBe(targets.length);
    }
  });

  it('no two panels overlap and none leaves the 24 columns', () => {
    const taken = new Map<string, string>();
    for (const { title, gridPos } of panels) {
      expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24);
      for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++)
        for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
          expect(taken.get(`${x},${y}`), `${title} lies on another panel`).toBeUndefined();
          taken.set(`${x},${y}`, title);
        }
    }
  });

  it('every panel asks the chosen data source, for the chosen jobs and instances only', () => {
    expect(dashboard.templating.list.map(({ name }) => name)).toEqual(['datasource', 'job', 'instance']);
    for (const { title, datasource, targets = [] } of queried)
      for (const one of [datasource, ...targets.map((target) => target.datasource)])
        expect(one, title).toEqual({ type: 'prometheus', uid: '${datasource}' });
    for (const { where, expr } of panelExpressions)
      for (const [selector] of expr.matchAll(/postern_\w+(\{[^}]*\})?/g))
        expect(selector, where).toContain('{job=~"$job",instance=~"$instance"');
  });

  it('questions about passwords and about tokens, to two backends, are never one line', () => {
    const asking = queried.filter(({ targets = [] }) => targets.some(({ expr }) => expr.includes('postern_auth_backend_')));
    expect(asking.length).toBeGreaterThan(0);
    for (const { title, description, targets = [] } of asking) {
      expect(description, title).toContain('auth.tokens');
      for (const { expr, legendFormat } of targets.filter((target) => target.expr.includes('postern_auth_backend_'))) {
        expect(expr, title).toMatch(/by \(backend\b/);
        expect(legendFormat, title).toContain('{{backend}}');
      }
    }
  }); // prettier-ignore

  it('its legends name labels that the expression keeps', () => {
    for (const { title, targets = [] } of queried)
      for (const { expr, legendFormat } of targets)
        for (const [, label = ''] of legendFormat.matchAll(/\{\{(\w+)\}\}/g))
          expect(expr, `${title}: {{${label}}}`).toMatch(new RegExp(`by \\([^)]*\\b${label}\\b`));
  });
});

describe('provisioning', () => {
  it('names the data source and the folder that compose.yaml mounts', () => {
    const sources = z
      .object({ datasources: z.array(z.looseObject({ type: z.literal('prometheus'), url: z.string() })) })
      .parse(readYaml(join(deployDirectory, 'grafana/provisioning/datasources/prometheus.yml')));
    expect(sources.datasources[0]?.url).toBe('http://prometheus:9090');
    const providers = z
      .object({ providers: z.array(z.looseObject({ options: z.object({ path: z.string() }) })) })
      .parse(readYaml(join(deployDirectory, 'grafana/provisioning/dashboards/postern.yml')));
    const compose = z
      .object({ services: z.object({ grafana: z.looseObject({ volumes: z.array(z.string()) }) }) })
      .parse(readYaml(join(deployDirectory, 'docker/compose.yaml')));
    const mounts = compose.services.grafana.volumes.map((volume) => volume.split(':')[1]);
    expect(mounts).toContain(providers.providers[0]?.options.path);
    expect(mounts).toContain('/etc/grafana/provisioning');
  });
});
