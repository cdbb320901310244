import { describe, expect, test } from 'vitest';

import {
  attributeDeath,
  mayBeAMessages,
  mayBeTheDisk,
  type Death,
} from '../../src/primary/death-attribution.js';

const own = '/q/slot-0/A-0.mdb';
const adopted = '/q/slot-0/B-0.mdb';
const quiet: Death = {
  signal: null,
  exitCode: null,
  phase: undefined,
  leased: 0,
  files: [own, adopted],
  unable: false,
  wasSilent: false,
  commitFailedIn: undefined,
};
const opening = { kind: 'opening', file: adopted } as const;
const scanning = { kind: 'scanning', file: adopted } as const;
const none = { kind: 'none' } as const;
const reading = { kind: 'reading', files: [adopted] } as const;
const crash = { kind: 'crash', files: [own, adopted] } as const;

describe('F-05 whose fault a death was', () => {
  test.each([
    { death: { signal: 'SIGKILL' }, blame: none, why: 'kill -9 while idle blames no file' },
    {
      death: { signal: 'SIGKILL', phase: scanning },
      blame: none,
      why: 'kill -9 while scanning blames no file',
    },
    {
      death: { signal: 'SIGKILL', phase: opening },
      blame: none,
      why: 'kill -9 while opening blames no file',
    },
    {
      death: { signal: 'SIGTERM', phase: scanning },
      blame: none,
      why: 'a signal that somebody sent blames none',
    },
    {
      death: { signal: 'SIGABRT', phase: opening },
      blame: reading,
      why: 'abort while opening blames that file',
    },
    {
      death: { signal: 'SIGSEGV', phase: scanning },
      blame: reading,
      why: 'a fault while scanning blames that file',
    },
    {
      death: { signal: 'SIGFPE', phase: scanning },
      blame: reading,
      why: 'any fault of its own while scanning counts',
    },
    {
      death: { signal: 'SIGBUS', phase: scanning, leased: 3 },
      blame: reading,
      why: 'what it was reading counts before what was leased',
    },
    {
      death: { exitCode: 1, phase: scanning },
      blame: reading,
      why: 'an exit by an exception while scanning blames it',
    },
    { death: { exitCode: 1 }, blame: none, why: 'an exception while idle blames no file' },
    { death: { exitCode: 70 }, blame: none, why: 'a failed commit is the disk’s fault' },
    {
      death: { exitCode: 70, commitFailedIn: adopted },
      blame: { kind: 'commit', files: [adopted] },
      why: 'unless it was in a file that another process left',
    },
    {
      death: { signal: 'SIGKILL', commitFailedIn: adopted },
      blame: none,
      why: 'not if something else ended it',
    },
    { death: { exitCode: 70, phase: scanning }, blame: none, why: 'also while another file is scanned' },
    { death: { exitCode: 0, phase: scanning }, blame: none, why: 'an orderly end blames nobody' },
    {
      death: { exitCode: 1, phase: opening, unable: true },
      blame: none,
      why: 'F-39 a file of a newer format is refused, not quarantined',
    },
    {
      death: { signal: 'SIGKILL', phase: scanning, wasSilent: true },
      blame: reading,
      why: 'a hang while scanning counts like a crash: the kill was ours',
    },
    {
      death: { signal: 'SIGKILL', wasSilent: true },
      blame: none,
      why: 'a hang with nothing being read blames no file',
    },
    { death: { signal: 'SIGABRT' }, blame: crash, why: 'abort with nothing leased blames the open files' },
    { death: { signal: 'SIGSEGV' }, blame: crash, why: 'so does a memory fault' },
    { death: { signal: 'SIGBUS' }, blame: crash, why: 'and a page that cannot be read' },
    {
      death: { signal: 'SIGSEGV', leased: 1 },
      blame: none,
      why: 'F-41 with a message leased, that is the suspect',
    },
    { death: { signal: 'SIGFPE' }, blame: none, why: 'other signals while idle blame no file' },
    { death: { signal: 'SIGABRT', files: [] }, blame: none, why: 'no open file, nobody to blame' },
  ])('$why', ({ death, blame }) => {
    expect(attributeDeath({ ...quiet, ...death })).toEqual(blame);
  });
});

describe('F-13 whether the disk has to be looked at before a file is blamed', () => {
  test.each([
    {
      death: { signal: 'SIGSEGV' },
      suspect: true,
      why: 'a page that could not be written ends as a memory fault',
    },
    { death: { signal: 'SIGABRT' }, suspect: true, why: 'or as a failed assertion' },
    { death: { exitCode: 70 }, suspect: true, why: 'a failed commit' },
    { death: { signal: 'SIGKILL', wasSilent: true }, suspect: false, why: 'a hang is the file’s' },
    { death: { exitCode: 1 }, suspect: false, why: 'an exception is ours' },
  ])('$why', ({ death, suspect }) => {
    expect(mayBeTheDisk({ ...quiet, ...death })).toBe(suspect);
  });
});

describe('F-41 whether attempts that were under way count against their messages', () => {
  test.each([
    { death: { signal: 'SIGSEGV', leased: 1 }, counts: true, why: 'a memory fault does' },
    { death: { exitCode: 1 }, counts: true, why: 'so does an exception of ours' },
    { death: { signal: 'SIGKILL', wasSilent: true }, counts: true, why: 'and a hang that we ended' },
    {
      death: { signal: 'SIGKILL' },
      counts: false,
      why: 'a kill from outside, or at the end of a drain, does not',
    },
    { death: { signal: 'SIGTERM' }, counts: false, why: 'nor does any signal that somebody sent' },
    { death: { exitCode: 0 }, counts: false, why: 'nor a stop or a drain' },
    { death: { exitCode: 70 }, counts: false, why: 'nor a disk that refused a commit' },
    { death: { exitCode: 1, unable: true }, counts: false, why: 'nor a worker that never came to its mail' },
  ])('$why', ({ death, counts }) => {
    expect(mayBeAMessages({ ...quiet, ...death })).toBe(counts);
  });
});
