/** The files of deploy/prometheus and deploy/grafana, read and given types; what does not fit throws. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { parse } from 'yaml';
import { z } from 'zod';

import { root } from '../support/postern.js';
import type { Expression } from './promql.js';

export const deployDirectory = join(root, 'deploy');
export const prometheusDirectory = join(deployDirectory, 'prometheus');

const ruleFile = z.strictObject({
  groups: z.array(
    z.strictObject({
      name: z.string(),
      rules: z.array(
        z.union([
          z.strictObject({ record: z.string(), expr: z.string() }),
          z.strictObject({
            alert: z.string(),
            expr: z.string(),
            for: z.string().optional(),
            labels: z.strictObject({ severity: z.enum(['page', 'ticket']) }),
            annotations: z.strictObject({ summary: z.string(), runbook: z.string() }),
          }),
        ]),
      ),
    }),
  ),
});

export type Rule = z.infer<typeof ruleFile>['groups'][number]['rules'][number];
export type AlertRule = Extract<Rule, { alert: string }>;

const panel = z.looseObject({
  id: z.number(),
  type: z.string(),
  title: z.string(),
  description: z.string().optional(),
  gridPos: z.object({ x: z.number(), y: z.number(), w: z.number(), h: z.number() }),
  datasource: z.object({ type: z.string(), uid: z.string() }).optional(),
  targets: z
    .array(
      z.looseObject({
        refId: z.string(),
        expr: z.string(),
        legendFormat: z.string(),
        datasource: z.object({ type: z.string(), uid: z.string() }),
      }),
    )
    .optional(),
});
const dashboardFile = z.looseObject({
  uid: z.string(),
  title: z.string(),
  schemaVersion: z.number(),
  panels: z.array(panel),
  templating: z.object({ list: z.array(z.looseObject({ name: z.string() })) }),
});

export const ruleFiles = readdirSync(join(prometheusDirectory, 'rules')).map((name) =>
  join(prometheusDirectory, 'rules', name),
);
export const ruleTestFiles = readdirSync(join(prometheusDirectory, 'tests')).map((name) =>
  join(prometheusDirectory, 'tests', name),
);

export function readYaml(file: string): unknown {
  return parse(readFileSync(file, 'utf8'));
}

export const rules: readonly Rule[] = ruleFiles.flatMap((file) =>
  ruleFile.parse(readYaml(file)).groups.flatMap((group) => group.rules),
);
export const alerts: readonly AlertRule[] = rules.flatMap((rule) => ('alert' in rule ? [rule] : []));
export const recordedNames: readonly string[] = rules.flatMap((rule) =>
  'record' in rule ? [rule.record] : [],
);

export const dashboard = dashboardFile.parse(
  JSON.parse(readFileSync(join(deployDirectory, 'grafana/dashboards/postern.json'), 'utf8')),
);

export const ruleExpressions: readonly Expression[] = rules.map((rule) => ({
  where: 'alert' in rule ? rule.alert : rule.record,
  expr: rule.expr,
}));
export const panelExpressions: readonly Expression[] = dashboard.panels.flatMap(({ title, targets = [] }) =>
  targets.map(({ refId, expr }) => ({ where: `panel "${title}" ${refId}`, expr })),
);

/** As Grafana would ask it. */
export function withVariables(expr: string, rateInterval: string): string {
  return expr.replaceAll('$__rate_interval', rateInterval).replaceAll('$job', '.+').replaceAll('$instance', '.+');
} // prettier-ignore
