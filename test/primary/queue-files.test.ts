import { describe, expect, test } from 'vitest';

import { homeSlot, QueueFiles, type Adoption, type QueueFile } from '../../src/primary/queue-files.js';

const file = (slot: number, incarnation: string, n = 0): QueueFile => ({
  slot,
  incarnation,
  file: `/q/slot-${slot}/${incarnation}-${n}.mdb`,
});
const to = (slot: number, incarnation: string) => ({ slot, slots: 2, incarnation });
const namesOf = (files: readonly QueueFile[]) => files.map(({ file }) => file);
const namesIn = (adoptions: readonly Adoption[]) => adoptions.flatMap(({ files }) => files);

describe('the slot where a file is at home', () => {
  test('its own, while that exists', () => {
    expect([0, 1, 2].map((slot) => homeSlot(file(slot, 'A'), 3))).toEqual([0, 1, 2]);
  });

  test('the files of slots that no longer exist spread over those that do', () => {
    const homes = Array.from({ length: 40 }, (_, n) => homeSlot(file(7, 'A', n), 4));
    expect(new Set(homes)).toEqual(new Set([0, 1, 2, 3]));
  });

  test('every file has exactly one home, whoever asks', () => {
    const lost = Array.from({ length: 20 }, (_, n) => file(9, 'A', n));
    const given = [0, 1, 2].flatMap((slot) =>
      namesIn(new QueueFiles().adopt(lost, new Set(), { slot, slots: 3, incarnation: 'X' })),
    );
    expect(given.toSorted()).toEqual(namesOf(lost).toSorted());
  });
});

describe('who adopts what', () => {
  test('the files of the dead go to their slot’s worker, once', () => {
    const files = new QueueFiles();
    const disk = [file(0, 'DEAD', 0), file(0, 'DEAD', 1), file(1, 'DEAD')];
    const living = new Set(['NEW']);
    expect(namesIn(files.adopt(disk, living, to(0, 'NEW')))).toEqual(namesOf(disk.slice(0, 2)));
    expect(files.adopt(disk, living, to(0, 'NEW'))).toEqual([]);
  });

  test('promise 8: an old and a new worker of one slot keep their own files side by side', () => {
    const files = new QueueFiles();
    const disk = [file(0, 'OLD'), file(0, 'NEW')];
    expect(files.adopt(disk, new Set(['OLD', 'NEW']), to(0, 'NEW'))).toEqual([]);
    expect(namesIn(files.adopt(disk, new Set(['NEW']), to(0, 'NEW')))).toEqual(namesOf(disk.slice(0, 1)));
  });

  test('adopted files die with their adopter, not with their maker', () => {
    const files = new QueueFiles();
    const disk = [file(0, 'FIRST')];
    files.adopt(disk, new Set(['SECOND']), to(0, 'SECOND'));
    expect(files.ownedBy(disk, 'SECOND')).toEqual(namesOf(disk));
    expect(files.ownedBy(disk, 'FIRST')).toEqual([]);
    expect(files.adopt(disk, new Set(['SECOND', 'THIRD']), to(0, 'THIRD'))).toEqual([]);
    expect(namesIn(files.adopt(disk, new Set(['THIRD']), to(0, 'THIRD')))).toEqual(namesOf(disk));
  });

  test('F-41 files of a death that a message may have caused are handed over apart', () => {
    const files = new QueueFiles();
    const disk = [file(0, 'STOPPED'), file(0, 'CRASHED', 0), file(0, 'CRASHED', 1)];
    files.blame(files.ownedBy(disk, 'CRASHED'));
    expect(files.adopt(disk, new Set(['NEW']), to(0, 'NEW'))).toEqual([
      { blame: false, files: namesOf(disk.slice(0, 1)) },
      { blame: true, files: namesOf(disk.slice(1)) },
    ]);
  });

  test('F-41 the blame lasts until the file was read to its end, also over a death that blames nobody', () => {
    const files = new QueueFiles();
    const disk = [file(0, 'CRASHED')];
    files.blame(namesOf(disk));
    files.adopt(disk, new Set(['SECOND']), to(0, 'SECOND'));
    expect(files.adopt(disk, new Set(['THIRD']), to(0, 'THIRD'))).toEqual([
      { blame: true, files: namesOf(disk) },
    ]);
    files.wasRead(disk[0]?.file ?? '');
    expect(files.adopt(disk, new Set(['FOURTH']), to(0, 'FOURTH'))).toEqual([
      { blame: false, files: namesOf(disk) },
    ]);
  });

  test('a file that was retired is forgotten', () => {
    const files = new QueueFiles();
    const disk = [file(0, 'A')];
    files.adopt(disk, new Set(['B']), to(0, 'B'));
    files.keepOnly(new Set());
    expect(files.ownedBy(disk, 'B')).toEqual([]);
    expect(files.ownedBy(disk, 'A')).toEqual(namesOf(disk));
  });
});
