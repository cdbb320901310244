/** Reads Prometheus' text format as far as tests need it. */

/** `name{a="1",b="2"}` → value, in the order of the text; labels stand as they were printed. */
export function seriesOf(text: string): Map<string, number> {
  const series = new Map<string, number>();
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const space = line.lastIndexOf(' ');
    series.set(line.slice(0, space), Number(line.slice(space + 1).replace('+Inf', 'Infinity')));
  }
  return series;
}

/** @param series as it is printed: `postern_queue_bytes`, `postern_connections_total{listener="mx"}` */
export function valueOf(text: string, series: string): number | undefined {
  return seriesOf(text).get(series);
}
