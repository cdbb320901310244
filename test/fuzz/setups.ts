/** The states that the fuzzer begins in: each kind of session, and each place inside one. */
import { replies } from '../../src/protocol/replies.js';
import {
  askBits,
  mechanisms,
  type Question,
  type SessionOptions,
  type Verdict,
} from '../../src/protocol/types.js';
import { limits, options, policy } from '../protocol/harness.js';

interface Setup {
  readonly options: SessionOptions;
  /** Said before the input, a segment each. */
  readonly lead: readonly string[];
  /** The last line of the greeting is still to come. */
  readonly teased?: boolean;
}

// Far away, so that a session goes on; `small` has the near ones.
const patient = { ...limits, errors: 10_000, junkCommands: 10_000, authFailures: 10_000 };
const plain: SessionOptions = { ...options, limits: patient };
const secure: SessionOptions = { ...plain, secure: true, mechanisms: ['PLAIN', 'LOGIN'] };
const manyMechanisms: SessionOptions = { ...secure, mechanisms };
const everything = Object.values(askBits).reduce((mask, bit) => mask | bit, 0);
const envelope = ['EHLO t\r\n', 'MAIL FROM:<a@x.test>\r\n', 'RCPT TO:<b@ok.test>\r\n'];

const setups = {
  plain: { options: plain, lead: [] },
  hello: { options: plain, lead: ['EHLO t\r\n'] },
  transaction: { options: plain, lead: envelope },
  utf8: {
    options: plain,
    lead: ['EHLO t\r\n', 'MAIL FROM:<a@x.test> SMTPUTF8\r\n', 'RCPT TO:<b@ok.test>\r\n'],
  },
  data: { options: plain, lead: [...envelope, 'DATA\r\n'] },
  header: { options: plain, lead: [...envelope, 'DATA\r\n', 'Subject: t\r\nReceived: from a'] },
  body: { options: plain, lead: [...envelope, 'DATA\r\n', 'Subject: t\r\n\r\nx\r\n'] },
  refusedBody: { options: plain, lead: [...envelope, 'DATA\r\n', 'Subject: t\r\n\r\nx\ny\r\n'] },
  bdat: { options: plain, lead: [...envelope, 'BDAT 20\r\nSubject: t\r\n\r\nx'] },
  starttls: { options: { ...plain, startTls: true }, lead: ['EHLO t\r\n'] },
  tls: { options: secure, lead: ['EHLO t\r\n'] },
  authPlain: { options: secure, lead: ['EHLO t\r\n', 'AUTH PLAIN\r\n'] },
  authLogin: { options: secure, lead: ['EHLO t\r\n', 'AUTH LOGIN\r\n'] },
  authPassword: { options: secure, lead: ['EHLO t\r\n', 'AUTH LOGIN\r\n', 'dQ==\r\n'] },
  submission: {
    options: { ...plain, role: 'submission', startTls: true, tlsRequired: true, authRequired: true },
    lead: ['EHLO t\r\n'],
  },
  lmtp: { options: { ...plain, protocol: 'lmtp' }, lead: ['LHLO t\r\n'] },
  refused: { options: { ...plain, greeting: 'refused', ask: { mask: askBits.CONNECT } }, lead: [] },
  asked: { options: { ...secure, ask: { mask: everything } }, lead: ['EHLO t\r\n'] },
  // As a config without policy has it.
  strict: {
    options: { ...plain, startTls: true, refuseUnauthorizedPipelining: true },
    lead: [],
  },
  strictHello: { options: { ...secure, refuseUnauthorizedPipelining: true }, lead: ['EHLO t\r\n'] },
  teased: { options: plain, lead: [], teased: true },
  normalize: { options: { ...plain, bareNewlines: 'normalize' }, lead: [...envelope, 'DATA\r\n'] },
  normalizeChunks: { options: { ...plain, bareNewlines: 'normalize' }, lead: envelope },
  certificateMissing: { options: { ...secure, certificateMissing: true }, lead: [] },
  trusted: { options: { ...secure, mayNameClients: true }, lead: ['EHLO t\r\n'] },
  named: {
    options: { ...plain, mayNameClients: true },
    lead: ['XCLIENT ADDR=127.0.0.2 LOGIN=u\r\n', 'EHLO t\r\n'],
  },
  sasl: { options: manyMechanisms, lead: ['EHLO t\r\n'] },
  scram: { options: manyMechanisms, lead: ['EHLO t\r\n', 'AUTH SCRAM-SHA-256 biwsbj11LHI9YWJj\r\n'] },
  cramMd5: { options: manyMechanisms, lead: ['EHLO t\r\n', 'AUTH CRAM-MD5\r\n'] },
  bearer: { options: manyMechanisms, lead: ['EHLO t\r\n', 'AUTH OAUTHBEARER\r\n'] },
  small: {
    options: {
      ...secure,
      limits: {
        ...limits,
        messageBytes: 60,
        recipients: 2,
        errors: 5,
        softErrors: 1,
        junkCommands: 5,
        transactions: 3,
        commandLineBytes: 128,
        headerBytes: 40,
        headerFields: 3,
        receivedHops: 2,
        ownReceivedHops: 1,
        dataLineBytes: 30,
        authFailures: 2,
      },
    },
    lead: ['EHLO t\r\n'],
  },
} satisfies Record<string, Setup>;

export type SetupName = keyof typeof setups;

export const setupNames = Object.keys(setups).filter(isSetupName);

export function isSetupName(name: string): name is SetupName {
  return Object.hasOwn(setups, name);
}

export function setupOf(name: SetupName): Setup {
  return setups[name];
}

/** After STARTTLS. */
export function insideTls(outside: SessionOptions): SessionOptions {
  return { ...outside, secure: true, startTls: false, tlsRequired: false, mechanisms: ['PLAIN', 'LOGIN'] };
}

/** What a caller may answer; each refusal is reached by some address. */
export function decide(setup: SetupName): (question: Question) => Verdict {
  const refuse: Verdict = { ok: false, reply: replies.refused };
  return (question) => {
    if (question.kind === 'connect' && setup === 'refused') return { ok: false, reply: replies.noService };
    if (question.kind === 'mail' && question.reversePath.localPart === 'c') return refuse;
    if (question.kind === 'recipient' && question.mailbox.localPart === 'later')
      return { ok: false, reply: replies.tryLater };
    if (question.kind === 'header-end' && question.transaction.reversePath.localPart === 'd') return refuse;
    if (question.kind === 'message-end' && question.transaction.reversePath.localPart === 'e')
      return { ok: false, reply: replies.localError };
    return policy(question);
  };
}
