/** The facts that a figure means nothing without: commit, Node, processor, and what one fsync costs here. */
import { execFileSync } from 'node:child_process';
import { closeSync, fdatasyncSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { join } from 'node:path';

import { benchDirectory, root } from './server.mjs';

const fsyncSamples = 50;
/** statfs(2) magic numbers of the file systems that queues stand on, and of the one they must not. */
const fileSystems = { 0xef53: 'ext4', 0x58465342: 'xfs', 0x9123683e: 'btrfs', 0x794c7630: 'overlay', 0x01021994: 'tmpfs' }; // prettier-ignore

export function machineFacts() {
  const directory = benchDirectory();
  try {
    return {
      date: new Date().toISOString(),
      commit: git('rev-parse', '--short=12', 'HEAD'),
      changed: git('status', '--porcelain', '--', 'src', 'bench', 'package-lock.json') !== '',
      node: process.version,
      cpu: cpus()[0]?.model.trim() ?? 'unknown',
      cores: cpus().length,
      memoryGiB: Math.round(totalmem() / 2 ** 30),
      kernel: release(),
      // Of the last minute, before the bench: above 0.5 something else was running, and the figures are too low.
      load: Number((loadavg()[0] ?? 0).toFixed(1)),
      fileSystem: fileSystemOf(directory),
      fdatasyncMs: medianFdatasyncMs(directory),
    };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** @param {string[]} args @returns {string} empty outside a clone */
function git(...args) {
  try {
    return execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();
  } catch {
    return '';
  }
}

/** @param {string} directory */
function fileSystemOf(directory) {
  const { type } = statfsSync(directory);
  return (
    Object.entries(fileSystems).find(([magic]) => Number(magic) === type)?.[1] ?? `0x${type.toString(16)}`
  );
}

/** Of appending 4 KiB and fdatasync: the floor under every dot→250. @param {string} directory */
function medianFdatasyncMs(directory) {
  const file = openSync(join(directory, 'fsync'), 'w');
  const page = Buffer.alloc(4096, 1);
  const samples = [];
  for (let i = 0; i < fsyncSamples; i++) {
    const startMs = performance.now();
    writeSync(file, page);
    fdatasyncSync(file);
    samples.push(performance.now() - startMs);
  }
  closeSync(file);
  samples.sort((a, b) => a - b);
  return Number((samples[fsyncSamples / 2] ?? 0).toFixed(2));
}

/** On one line. @param {ReturnType<typeof machineFacts>} machine */
export function describeMachine(machine) {
  return Object.entries(machine)
    .map(([key, value]) => `${key} ${value}`)
    .join(' · ');
}
