#!/usr/bin/env node
/**
 * The oracle: `node bench/load/compare.mjs SENT RECEIVED` compares what the load generator recorded with what the sink
 * recorded. Lost: acknowledged and never came. Changed: came with other bytes. Doubled: came more than once. Unasked:
 * came although it was refused. Exit 1 when anything was lost, changed or unasked.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** @param {string} file @returns {any[]} */
function rows(file) {
  return readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
}

/** @param {string} sentFile @param {string} receivedFile */
export function compare(sentFile, receivedFile) {
  const sent = new Map(rows(sentFile).map((row) => [row.id, row]));
  /** @type {Map<string, string[]>} */
  const received = new Map();
  for (const { id, sha256 } of rows(receivedFile)) received.set(id, [...(received.get(id) ?? []), sha256]);
  const result = {
    acked: 0,
    received: received.size,
    lost: /** @type {string[]} */ ([]),
    changed: /** @type {string[]} */ ([]),
    doubled: /** @type {string[]} */ ([]),
    unasked: /** @type {string[]} */ ([]),
  };
  for (const [id, row] of sent) {
    if (row.outcome !== 'acked') continue;
    result.acked += 1;
    if (!received.has(id)) result.lost.push(id);
  }
  for (const [id, hashes] of received) {
    const row = sent.get(id);
    if (row === undefined || row.outcome === 'refused' || row.outcome === 'not-sent') result.unasked.push(id);
    else if (hashes.some((hash) => hash !== row.sha256)) result.changed.push(id);
    if (hashes.length > 1) result.doubled.push(id);
  }
  return result;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [sentFile, receivedFile] = process.argv.slice(2);
  if (sentFile === undefined || receivedFile === undefined) {
    process.stderr.write('usage: node bench/load/compare.mjs SENT RECEIVED\n');
    process.exit(2);
  }
  const result = compare(sentFile, receivedFile);
  process.stdout.write(`${JSON.stringify(result, undefined, 2)}\n`);
  process.exit(result.lost.length + result.changed.length + result.unasked.length === 0 ? 0 : 1);
}
