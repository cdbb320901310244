/**
 * `node .ci/count.mjs REPORT [NAME…]`: prints `PASSED FAILED SKIPPED` of vitest's JSON report, and on stderr what failed or
 * skipped. Exit 1 when the report is missing, holds no test, or a test skipped whose full name is not among NAMEs.
 */
import { readFileSync } from 'node:fs';

const [file = '', ...allowed] = process.argv.slice(2);

/** @returns {{ testResults: { name: string, status: string, message: string, assertionResults: { fullName: string, status: string }[] }[] }} */
function readReport() {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    process.stderr.write(`no report of the tests: ${String(error)}\n`);
    return { testResults: [] };
  }
}

const { testResults } = readReport();
const tests = testResults.flatMap((result) => result.assertionResults);
const passed = tests.filter((test) => test.status === 'passed');
const failed = tests.filter((test) => test.status === 'failed');
const skipped = tests.filter((test) => test.status !== 'passed' && test.status !== 'failed');
// A file that could not be loaded has no test to count.
const broken = testResults.filter(
  (result) => result.status === 'failed' && !result.assertionResults.some((test) => test.status === 'failed'),
);
const unexpected = skipped.filter((test) => !allowed.includes(test.fullName));

for (const test of failed) process.stderr.write(`failed: ${test.fullName}\n`);
for (const result of broken) process.stderr.write(`failed as a whole: ${result.name}: ${result.message}\n`);
for (const test of unexpected) process.stderr.write(`skipped, which CI does not allow: ${test.fullName}\n`);

process.stdout.write(`${passed.length} ${failed.length + broken.length} ${skipped.length}\n`);
process.exit(tests.length === 0 || unexpected.length > 0 ? 1 : 0);
