/**
 * The fuzzer of sessions: from the transcripts, the saved corpus and the grammar into every state, as long as it is
 * given. `npm run fuzz` lets it run for longer and keeps what it finds. The seed is printed and makes the same inputs.
 */
import { writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';

import { Random, seedOfRun } from '../support/random.js';
import { generate, mutate } from './generate.js';
import { corpusFile, savedInputs, seedInputs, toText, type Input } from './input.js';
import { minimise } from './minimise.js';
import { examine } from './session-oracle.js';
import { setupNames } from './setups.js';

const seconds = Number(process.env['FUZZ_SECONDS'] ?? 6);
const keep = process.env['FUZZ_KEEP'] === '1';
const seed = seedOfRun('FUZZ_SEED');
// In the pool of inputs to change; beyond it the oldest go.
const maxPool = 3000;

test.each(savedInputs().map(({ name, input }) => [name, input] as const))(
  'what was found before stays mended: %s',
  (_, input) => {
    expect(examine(input).fault).toBeUndefined();
  },
);

test(
  'C-026 C-029 C-030 C-036 C-051 A-010: no input makes a session throw, say what is no reply, lose step, answer a command twice or queue what it refused',
  { timeout: (seconds + 60) * 1000 },
  () => {
    const random = new Random(seed);
    const pool = [...seedInputs(), ...savedInputs().map(({ input }) => input)];
    const ground = new Set<string>();
    const setups = new Set<string>();
    const end = performance.now() + seconds * 1000;
    let runs = 0;
    while (performance.now() < end) {
      const input =
        runs < pool.length && pool[runs] !== undefined ? (pool[runs] as Input) : next(pool, random);
      const { fault, reached } = examine(input);
      runs++;
      setups.add(input.setup);
      if (fault !== undefined) fail(input, fault);
      if (!reached.some((pair) => !ground.has(pair))) continue;
      for (const pair of reached) ground.add(pair);
      pool.push(input);
      if (pool.length > maxPool) pool.shift();
    }
    console.log(
      `fuzz: seed ${seed}, ${runs} inputs, ${Math.round(runs / seconds)} a second, ${ground.size} pairs of replies, ${setups.size} setups`,
    );
    if (runs > 1000) expect([...setups].toSorted()).toEqual(setupNames.toSorted());
  },
);

function next(pool: readonly Input[], random: Random): Input {
  return random.chance(0.3) ? generate(random) : mutate(random.pick(pool), random.pick(pool), random);
}

function fail(input: Input, fault: string): never {
  const kind = kindOf(fault);
  const small = minimise(input, (candidate) => kindOf(examine(candidate).fault ?? '') === kind);
  const text = toText(small);
  if (keep) writeFileSync(corpusFile(`find-${seed}-${performance.now().toFixed(0)}`), text);
  throw new Error(`seed ${seed}: ${examine(small).fault}\n${text}`);
}

/** The fault without what differs from input to input. */
function kindOf(fault: string): string {
  return fault.split('\n')[0]?.replaceAll(/\d+|\[.*/g, '') ?? '';
}
