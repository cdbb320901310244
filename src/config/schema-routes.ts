/** The table of one entry of `routes`: a next hop, or several, and how they are spoken to. */
import { union } from 'zod';
import { choice, decimal, duration, integer, listOf, parsedText, path, section, text } from './fields.js';
import { isLoginText, parseFingerprint, parseHop, parseNetworkHop } from './formats.js';

const hop = parsedText('smtp://host:port, lmtp://host:port, maildir:path or mx', parseHop);

const weightedHop = section({
  hop: parsedText('smtp://host:port or lmtp://host:port', parseNetworkHop).describe('The next hop.'),
  weight: integer(1, 1_000).prefault(1).describe('Its share among the hops of the same priority.'),
  priority: integer(0, 100)
    .prefault(0)
    .describe('Lower is tried first; the next ones while none of these can be reached.'),
});

const hops = 'smtp://host:port, lmtp://host:port, maildir:path or mx, or a list of them';
const hopOfList = 'smtp://host:port, lmtp://host:port or { hop, weight, priority }';

const timeout = () => duration('100ms', '1d').optional();

export const route = section({
  to: union([hop, listOf(union([hop, weightedHop], { error: hopOfList }), 'next hops', 1, 16)], {
    error: hops,
  })
    .meta({ kind: hops })
    .describe(
      'The next hop; IPv6 in brackets; without a port 25, lmtp 24. A list of texts is in order of preference; one of `{ hop, weight, priority }` shares the mail of one priority by weight. mx: the MX hosts of each domain, on port 25 (mx:2525: another); not for a domain whose best MX is this host, whose mail would bounce (5.4.6). maildir and mx stand alone.',
    ),
  tls: choice(['off', 'opportunistic', 'required', 'verified'])
    .optional()
    .describe(
      "TLS to the next hop. required: encrypted, whoever it is; verified: the certificate must be the hop's. Left out: opportunistic; off for a maildir.",
    ),
  tlsCa: path()
    .optional()
    .describe("PEM file of the certificate authorities for `tls: verified`. Left out: the system's."),
  tlsFingerprints: listOf(
    parsedText('a SHA-256 fingerprint: 64 hexadecimal digits, with or without colons', parseFingerprint),
    'fingerprints',
    0,
    16,
  )
    .prefault([])
    .describe(
      'With `tls: verified`: the certificate must be one of these, its authority and name are not asked.',
    ),
  auth: section({
    user: text('1 to 255 octets without line ends', isLoginText).describe('Who logs in.'),
    password: text('1 to 255 octets without line ends', isLoginText)
      .optional()
      .describe('The password; or `passwordFile`.'),
    passwordFile: path()
      .optional()
      .describe('Text file with the password on its one line; read at start and at reload.'),
  })
    .optional()
    .describe('Login at the next hops; needs `tls: required` or `tls: verified`. Left out: none.'),
  timeouts: section({
    connect: timeout().describe('For the TCP connection. Left out: 30s.'),
    greeting: timeout().describe('For the greeting (RFC 5321 §4.5.3.2.1). Left out: 5m.'),
    command: timeout().describe(
      'For the reply to EHLO, STARTTLS, AUTH, MAIL, RCPT and RSET (RFC 5321 §4.5.3.2.2). Left out: 5m.',
    ),
    data: timeout().describe(
      'For the reply to DATA and between two blocks (RFC 5321 §4.5.3.2.4). Left out: 2m and 3m.',
    ),
    end: timeout().describe('For the reply to the end of data (RFC 5321 §4.5.3.2.6). Left out: 10m.'),
  })
    .prefault({})
    .describe('Longest waits for the next hop.'),
  messagesPerSecond: decimal(0, 1_000_000)
    .prefault(0)
    .describe('Messages that are begun in a second, by all workers together; 0: no limit.'),
  connections: integer(1, 1_000)
    .optional()
    .describe(
      'Connections that one worker holds at most (maildir: deliveries at once; mx: to all domains together, a quarter of them to one). Left out: 20; 4 for a maildir.',
    ),
  messagesPerConnection: integer(1, 100_000)
    .prefault(100)
    .describe('Messages after which a connection is closed and made anew.'),
  retry: section({
    first: duration('1s', '1d')
      .prefault('1m')
      .describe('Wait after the first attempt that failed for now; doubles each time.'),
    max: duration('1s', '7d').prefault('1h').describe('Longest wait between two attempts.'),
    expire: duration('1m', '30d')
      .prefault('5d')
      .describe('Age at which a message that is still not delivered fails (RFC 5321 §4.5.4.1).'),
  })
    .prefault({})
    .describe('When deliveries that failed for now are tried again.'),
});
