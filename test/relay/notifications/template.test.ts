import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';

import {
  defaultTemplate,
  fill,
  parseTemplate,
  placeholders,
  readTemplate,
  type Values,
} from '../../../src/relay/notifications/template.js';

const parse = (text: string): ReturnType<typeof parseTemplate> => parseTemplate(Buffer.from(text));
const values = Object.fromEntries(placeholders.map((name) => [name, `<${name}>`])) as unknown as Values;

test('what a template leaves out is ours', () => {
  const { template } = parse(
    '# words of ours\n\n[delay]\nSubject: Late\n\n\nWait, {sender}.\n\n  {recipients}\n\n',
  ) as {
    template: typeof defaultTemplate;
  };
  expect(template).toEqual({
    ...defaultTemplate,
    delay: { subject: 'Late', text: 'Wait, {sender}.\n\n  {recipients}' },
  });
});

test('CRLF line ends, a byte order mark, comments between and blanks at line ends do no harm', () => {
  const read = parse('\ufeff[failure]  \r\nSubject:  Übel  \r\n# not sent\r\nEins  \r\nZwei\r\n');
  expect(read).toMatchObject({ template: { failure: { subject: 'Übel', text: 'Eins\nZwei' } } });
});

describe('a fault names its line and what was expected', () => {
  test.each([
    [
      'hello\n[failure]\nSubject: x\n\ny',
      '1: text before a section; expected [failure], [delay], [success] or [postmaster]',
    ],
    ['[bounce]\nSubject: x\n\ny', '1: [bounce]; expected [failure], [delay], [success], [postmaster]'],
    ['[delay]\nSubject: x\n\ny\n[delay]\nSubject: x\n\ny', '5: a second [delay]; expected one of each'],
    ['[delay]\nHello', '2: [delay] begins without a subject; expected `Subject: …`'],
    ['[delay]\nSubject:\n\nx', '2: [delay] begins without a subject; expected `Subject: …`'],
    ['[delay]', '1: [delay] begins without a subject; expected `Subject: …`'],
    ['[delay]\nSubject: x\n\n', '1: [delay] has no text; expected some below its subject'],
    [`[delay]\nSubject: ${'x'.repeat(201)}\n\ny`, '2: a subject of 201 characters; expected at most 200'],
    [
      '[delay]\nSubject: x\n\nDear {name}',
      '4: {name}; expected one of {hostname}, {sender}, {recipients}, {queueId}, {arrivedAt}, {postmaster}, {retryUntil}, {returned}',
    ],
    [
      '[delay]\nSubject: x\n\na { b',
      '4: a lone {; expected a placeholder such as {sender}, or {{ for a brace',
    ],
    ['[delay]\nSubject: to {recipients}\n\ny', '2: {recipients} in a subject; expected it in the text'],
    ['[failure]\nSubject: x\n\n{retryUntil}', '4: {retryUntil} in [failure]; expected in [delay] alone'],
    ['x'.repeat(65_537), '1: 65537 bytes; expected at most 65536'],
  ])('%j', (text, fault) => {
    expect(parse(text)).toEqual({ fault });
  });

  test('bytes that are no UTF-8', () => {
    expect(parseTemplate(Buffer.from([0x5b, 0xff]))).toEqual({ fault: '1: not UTF-8' });
  });
});

test('placeholders are filled in, once', () => {
  expect(fill('{sender}, {{sender}: {queueId}}', { ...values, sender: '{queueId}' })).toBe(
    '{queueId}, {sender}: <queueId>}',
  );
});

test('our own words have no fault, all say where from, which message and which recipients', () => {
  for (const [kind, { subject, text }] of Object.entries(defaultTemplate)) {
    expect(parse(`[${kind}]\nSubject: ${subject}\n\n${text}\n`)).toEqual({ template: defaultTemplate });
    for (const name of ['hostname', 'recipients', 'queueId']) expect(text).toContain(`{${name}}`);
    expect(text.split('\n').every((line) => line.length <= 78)).toBe(true);
  }
});

describe('a template file', () => {
  test('that is the example has all sections and is read', () => {
    const example = resolve(import.meta.dirname, '../../../config/examples/notifications.txt');
    const text = readFileSync(example, 'utf8');
    for (const kind of Object.keys(defaultTemplate)) expect(text).toContain(`\n[${kind}]\n`);
    for (const name of placeholders) expect(text).toContain(`{${name}}`);
    expect(readTemplate(example)).toEqual(defaultTemplate);
  });

  test('with a fault, or that is not there, is a config error that names it', () => {
    const directory = mkdtempSync(join(tmpdir(), 'postern-template-'));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    const file = join(directory, 'words.txt');
    expect(() => readTemplate(file)).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining(file) as string }),
    );
    writeFileSync(file, '[failure]\nSubject: x\n\n{you}\n');
    expect(() => readTemplate(file)).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringMatching(/words\.txt:4: \{you\}; expected one of /) as string }), // prettier-ignore
    );
  });
});
