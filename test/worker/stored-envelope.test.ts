import { describe, expect, test } from 'vitest';

import { parseStoredEnvelope } from '../../src/worker/stored-envelope.js';
import { storedEnvelope } from './stored-envelope-sample.js';

const parse = (change: object): unknown => parseStoredEnvelope('ID', { ...plain(), ...change });

/** As it comes over the wire: JSON and nothing else. */
function plain(): Record<string, unknown> {
  const value: Record<string, unknown> = JSON.parse(JSON.stringify(storedEnvelope));
  return value;
}

test('a whole envelope comes back as it was', () => {
  expect(parseStoredEnvelope('ID', plain())).toEqual(storedEnvelope);
});

test('what may be left out may be left out', () => {
  const optional = ['body', 'ret', 'envelopeId', 'isNotification'];
  const rest = Object.fromEntries(Object.entries(plain()).filter(([key]) => !optional.includes(key)));
  expect(parseStoredEnvelope('ID', rest)).toMatchObject({ body: undefined, reversePath: 'a@example.org' });
});

test('every other field must be there', () => {
  const optional = new Set(['body', 'ret', 'envelopeId', 'isNotification']);
  for (const key of Object.keys(plain()).filter((name) => !optional.has(name)))
    expect(() => parse({ [key]: undefined }), key).toThrow(expect.objectContaining({ code: 'BAD_IMPORT' }));
});

const [recipient] = storedEnvelope.recipients;
const [progress] = storedEnvelope.routes;

describe('is no envelope', () => {
  test.each([
    { why: 'with a field that is not known: it would be lost', change: { more: 1 } },
    { why: 'with a line break in the sender: it goes into MAIL', change: { reversePath: 'a@b\r\nRCPT TO:<x@y>' } },
    { why: 'with a line break in a recipient: it goes into RCPT', change: { recipients: [{ ...recipient, address: 'a@b\nDATA' }] } },
    { why: 'with a parameter behind the sender: it goes into MAIL', change: { reversePath: 'a@b.test> AUTH=<c@d.test' } },
    { why: 'with a parameter behind a recipient: it goes into RCPT', change: { recipients: [{ ...recipient, address: 'a@b.test> NOTIFY=NEVER X<' }] } },
    { why: 'with an escape sequence in a reply: it goes to terminals', change: { recipients: [{ ...recipient, lastReply: '\u001b[2J' }] } },
    { why: 'with a line break in ENVID', change: { envelopeId: 'a\r\nb' } },
    { why: 'without recipients', change: { recipients: [] } },
    { why: 'with an empty address', change: { recipients: [{ ...recipient, address: '' }] } },
    { why: 'with a state that is none', change: { recipients: [{ ...recipient, state: 'lost' }] } },
    { why: 'with a NOTIFY that is none', change: { recipients: [{ ...recipient, notify: ['NEVER'] }] } },
    { why: 'with a destination that has no progress', change: { routes: [progress] } },
    { why: 'with two of one destination', change: { routes: [...storedEnvelope.routes, progress] } },
    { why: 'with a time before 1970', change: { arrivedAtMs: -1 } },
    { why: 'with a time that is no whole number', change: { arrivedAtMs: 1.5 } },
    { why: 'with half an attempt', change: { routes: [{ ...progress, attempts: 0.5 }, storedEnvelope.routes[1]] } },
    { why: 'with a body type that is none', change: { body: 'BINARYMIME' } },
    { why: 'with an endless name', change: { clientName: 'x'.repeat(4_097) } },
  ])('$why', ({ change }) => {
    expect(() => parse(change)).toThrow(expect.objectContaining({ code: 'BAD_IMPORT' }));
  }); // prettier-ignore

  test.each([null, 'text', 7, []])('%j', (value) => {
    expect(() => parseStoredEnvelope('ID', value)).toThrow(/the envelope of ID is not one/);
  });
});
