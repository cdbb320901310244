/** As much of PromQL as the tests need: which names an expression uses, with which labels, and what it compares. */

/** Of rule files and panels, each expression with where it stands. */
export interface Expression {
  readonly where: string;
  readonly expr: string;
}

interface Selector {
  readonly metric: string;
  /** Label names of its matchers. */
  readonly labels: string[];
  /** `label op "value"` */
  readonly matchers: { readonly label: string; readonly operator: string; readonly value: string }[];
}

/** Quoted strings blanked, so that what stands in them is no code. Lengths stay. */
function withoutStrings(expr: string): string {
  return expr.replaceAll(/"(?:[^"\\]|\\.)*"/g, (text) => `"${'_'.repeat(text.length - 2)}"`);
}

/** Every name that begins with `postern_` or holds a colon (a recorded rule), with its matchers. */
export function selectorsOf(expr: string): Selector[] {
  const code = withoutStrings(expr);
  const selectors: Selector[] = [];
  for (const match of code.matchAll(/[a-zA-Z_:][a-zA-Z0-9_:]*/g)) {
    const [metric] = match;
    if (!metric.startsWith('postern_') && !/\w:\w/.test(metric)) continue;
    const after = match.index + metric.length;
    const end = code.charAt(after) === '{' ? code.indexOf('}', after) : after;
    const inside = expr.slice(after, end);
    const matchers = [...inside.matchAll(/(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"/g)].map(
      ([, label = '', operator = '', value = '']) => ({ label, operator, value }),
    );
    selectors.push({ metric, matchers, labels: matchers.map(({ label }) => label) });
  }
  return selectors;
}

/** Labels in `by (…)`, `on (…)` and their like. */
export function groupedLabelsOf(expr: string): string[] {
  const groups = withoutStrings(expr).matchAll(/\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)/g);
  return [...groups].flatMap(([, list = '']) => list.split(',')).map((label) => label.trim());
} // prettier-ignore

/**
 * An alert that is quiet returns nothing, so its expression says nothing about its metrics: these are the parts that
 * must return data all the same. Split at top-level `and`, `or`, `unless`; of each, what stands left of a comparison.
 */
export function measuredParts(expr: string): string[] {
  const code = withoutStrings(expr);
  return splitTopLevel(code, /^(?:and|unless|or)\b(?:\s+(?:on|ignoring)\s*\([^)]*\))?/)
    .map(([from, to]) => [from, from + leftOfComparison(code.slice(from, to))] as const)
    .map(([from, to]) => expr.slice(from, to).trim());
}

function leftOfComparison(code: string): number {
  return splitTopLevel(code, /^(?:==|!=|>=|<=|>|<)/)[0]?.[1] ?? code.length;
}

/** Ranges between the matches of `separator` outside brackets. */
function splitTopLevel(code: string, separator: RegExp): [from: number, to: number][] {
  const ranges: [number, number][] = [];
  let depth = 0;
  let from = 0;
  for (let at = 0; at < code.length; at++) {
    const character = code.charAt(at);
    if ('([{'.includes(character)) depth++;
    if (')]}'.includes(character)) depth--;
    const startsWord = !/\w/.test(code.charAt(at - 1)) || !/\w/.test(character);
    const found = depth === 0 && startsWord ? separator.exec(code.slice(at)) : null;
    if (found === null) continue;
    ranges.push([from, at]);
    from = at + found[0].length;
    at = from - 1;
  }
  return [...ranges, [from, code.length]];
}
