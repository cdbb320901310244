/** Where files lie whose disk does not matter: a file system in memory where there is one. */
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';

export const inMemory = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
