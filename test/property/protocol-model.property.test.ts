/** Random sequences of commands, valid and broken, to a session and to a small model of it: both say and know the same. */
import fc from 'fast-check';
import { expect, test } from 'vitest';

import { replies } from '../../src/protocol/replies.js';
import type { Question, SessionOptions, Verdict } from '../../src/protocol/types.js';
import { limits, manners, options, Peer, policy, type Manner } from '../protocol/harness.js';
import {
  authentications,
  chunks,
  contents,
  forwardPaths,
  lines,
  mailExtras,
  modelLimits,
  reversePaths,
  SessionModel,
  xclients,
  xforwards,
  type Command,
  type ModelOptions,
} from './session-model.js';

// More by hand: MODEL_RUNS=100000 npx vitest run test/property/protocol-model.property.test.ts
const numRuns = Number(process.env['MODEL_RUNS'] ?? 1500);
// The same in each run, so that what was reached once is reached again.
const seed = Number(process.env['MODEL_SEED'] ?? 5321);
/** Codes that were heard. */
const reached = new Set<number>();

function oneOf<Table extends object>(table: Table): fc.Arbitrary<keyof Table> {
  return fc.constantFrom(...(Object.keys(table) as (keyof Table)[]));
}

const flag = fc.boolean();
const rarely = fc.integer({ min: 0, max: 9 }).map((number) => number === 0);

/** What leads somewhere is said more often. */
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 3, arbitrary: fc.constant<Command>({ kind: 'hello', verb: 'EHLO', name: 'good' }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('hello' as const),
      verb: fc.constantFrom('EHLO' as const, 'HELO' as const),
      name: fc.constantFrom('good' as const, 'missing' as const, 'bad' as const),
    }),
  },
  { weight: 4, arbitrary: fc.constant<Command>({ kind: 'mail', path: '<a@x.test>', extra: '' }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('mail' as const),
      path: oneOf(reversePaths),
      extra: oneOf(mailExtras),
    }),
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('rcpt' as const), path: oneOf(forwardPaths) }) },
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('data' as const), argument: rarely, content: oneOf(contents) }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('bdat' as const), octets: oneOf(chunks), last: flag }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('simple' as const),
      verb: fc.constantFrom(
        'RSET' as const,
        'NOOP' as const,
        'VRFY' as const,
        'HELP' as const,
        'EXPN' as const,
      ),
      argument: flag,
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('starttls' as const), argument: rarely }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('xclient' as const), argument: oneOf(xclients) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('xforward' as const), argument: oneOf(xforwards) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('auth' as const), how: oneOf(authentications) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('line' as const), text: oneOf(lines) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('quit' as const), argument: flag }) },
);

const hello: Command = { kind: 'hello', verb: 'EHLO', name: 'good' };
const begun: fc.Arbitrary<readonly Command[]> = fc
  .tuple(
    fc.constantFrom('<a@x.test>' as const, '<>' as const, '<full@x.test>' as const),
    fc.oneof({ weight: 4, arbitrary: fc.constant('' as const) }, { weight: 1, arbitrary: oneOf(mailExtras) }),
    fc.array(fc.constantFrom('<b@ok.test>' as const, '<Postmaster>' as const), {
      minLength: 1,
      maxLength: 5,
    }),
  )
  .map(([path, extra, recipients]): Command[] => [
    hello,
    { kind: 'mail', path, extra },
    ...recipients.map((recipient): Command => ({ kind: 'rcpt', path: recipient })),
  ]);

const bdats = fc.array(
  fc.record({ kind: fc.constant('bdat' as const), octets: oneOf(chunks), last: rarely }),
  {
    minLength: 1,
    maxLength: 4,
  },
);

/** Single commands seldom get as far as a message before their errors are too many. */
const script: fc.Arbitrary<readonly Command[]> = fc.oneof(
  fc
    .tuple(begun, oneOf(contents))
    .map(([first, content]): Command[] => [...first, { kind: 'data', argument: false, content }]),
  fc.tuple(begun, bdats).map(([first, rest]): Command[] => [...first, ...rest]),
  begun.map((first): Command[] => [...first, { kind: 'starttls', argument: false }, hello]),
  oneOf(authentications).map((how): Command[] => [hello, { kind: 'auth', how }]),
);

const dialogue = fc
  .array(fc.oneof({ weight: 2, arbitrary: command.map((one) => [one]) }, { weight: 1, arbitrary: script }), {
    maxLength: 20,
  })
  .map((parts) => parts.flat());

const inTls = { secure: true, startTls: false, tlsRequired: false, authRequired: false, auth: true } as const;
const place: fc.Arbitrary<ModelOptions> = fc.constantFrom(
  { secure: false, startTls: false, tlsRequired: false, authRequired: false, auth: false },
  { secure: false, startTls: true, tlsRequired: false, authRequired: false, auth: true },
  { secure: false, startTls: true, tlsRequired: true, authRequired: true, auth: true },
  { secure: true, startTls: false, tlsRequired: false, authRequired: false, auth: true },
  { secure: true, startTls: false, tlsRequired: false, authRequired: true, auth: true },
  { ...inTls, certificateMissing: true },
  { ...inTls, normalize: true },
  { ...inTls, trusted: true },
  { ...inTls, strict: true },
  {
    secure: false,
    startTls: true,
    tlsRequired: false,
    authRequired: false,
    auth: true,
    strict: true,
    trusted: true,
  },
);

function sessionOptions({ auth, normalize, trusted, strict, ...place }: ModelOptions): SessionOptions {
  return {
    ...options,
    ...place,
    mechanisms: auth ? ['PLAIN', 'LOGIN', 'SCRAM-SHA-256', 'CRAM-MD5'] : [],
    bareNewlines: normalize === true ? 'normalize' : 'reject',
    mayNameClients: trusted === true,
    refuseUnauthorizedPipelining: strict === true,
    limits: { ...limits, ...modelLimits },
  };
}

function decide(question: Question): Verdict {
  const isFull =
    question.kind === 'message-end' && question.transaction.reversePath.address === 'full@x.test';
  return isFull ? { ok: false, reply: replies.localError } : policy(question);
}

function compare(commands: readonly Command[], place: ModelOptions, manner: Manner): void {
  const model = new SessionModel(place);
  const peer = new Peer(sessionOptions(place), manner, decide).start();
  expect(peer.codes()).toEqual(['220']);
  const said: string[] = [];
  for (const command of commands) {
    for (const { text, codes } of model.say(command)) {
      said.push(text);
      peer.send(text);
      const heard = peer.codes().map((code) => Number(code.slice(0, 3)));
      expect(heard, said.join('')).toEqual(codes);
      for (const code of codes) reached.add(code);
    }
    if (model.upgraded) {
      model.handshake();
      peer.handshake(sessionOptions({ ...place, secure: true, startTls: false, tlsRequired: false }));
    }
    sameState(peer, model, said.join(''));
    if (model.closed) return;
  }
}

function sameState(peer: Peer, model: SessionModel, said: string): void {
  const { session } = peer;
  expect(
    {
      closed: peer.closed !== undefined,
      sender: session.transaction?.reversePath.address,
      recipients: session.transaction?.recipients.length ?? 0,
      queued: peer.queued.map(({ from, to, body }) => ({
        from,
        recipients: to.length,
        body: body.toString('latin1'),
      })),
      ...(model.closed
        ? {}
        : { hello: session.heloName !== '', extended: session.extended, user: session.user }),
    },
    said,
  ).toEqual({
    closed: model.closed,
    sender: model.closed ? undefined : model.sender,
    recipients: model.closed ? 0 : model.recipients,
    queued: model.queued,
    ...(model.closed
      ? {}
      : { hello: model.hello !== '', extended: model.hello === 'EHLO', user: model.user }),
  });
}

test.each(manners)(
  'C-014 C-019 C-020 C-023 C-029 C-060 C-094 C-096 C-097 C-109 C-110 C-113 A-075: the session says, knows and queues what the model does (answers $answers, $chunkBytes bytes at a time)',
  (manner) => {
    fc.assert(
      fc.property(dialogue, place, (commands, where) => {
        compare(commands, where, manner);
      }),
      { numRuns: Math.ceil(numRuns / manners.length), seed },
    );
  },
);

test('on the way every code is heard that a session of one client can say', () => {
  const all = [
    214, 220, 221, 235, 250, 252, 334, 354, 421, 451, 452, 500, 501, 502, 503, 504, 530, 535, 538, 550, 552,
    554, 555,
  ];
  expect([...reached].toSorted((a, b) => a - b)).toEqual(all);
});
