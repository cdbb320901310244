/** Bars in SVG, for what people would rather look at than read. */

const width = 760;
const left = 150;
const right = 110;
const barHeight = 22;
const gap = 8;
const top = 44;
const ink = '#24292f';
const colours = { own: '#0969da', syncs: '#57606a', other: '#afb8c1' };

/** @typedef {{ label: string, value: number, text: string, colour: keyof typeof colours }} Bar */

/** @param {string} title @param {readonly Bar[]} bars */
export function barChart(title, bars) {
  const most = Math.max(...bars.map(({ value }) => value));
  const height = top + bars.length * (barHeight + gap) + gap;
  const rows = bars.map(({ label, value, text, colour }, index) => {
    const y = top + index * (barHeight + gap);
    const length = Math.max(1, (value / most) * (width - left - right));
    const middle = y + barHeight / 2 + 4;
    return `<text x="${left - 8}" y="${middle}" text-anchor="end">${escaped(label)}</text>
<rect x="${left}" y="${y}" width="${length.toFixed(1)}" height="${barHeight}" fill="${colours[colour]}" rx="2"/>
<text x="${(left + length + 6).toFixed(1)}" y="${middle}">${escaped(text)}</text>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="13" fill="${ink}" role="img" aria-label="${escaped(title)}">
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="16" y="26" font-size="15" font-weight="bold">${escaped(title)}</text>
${rows.join('\n')}
</svg>
`;
}

/** @param {string} text */
function escaped(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}
