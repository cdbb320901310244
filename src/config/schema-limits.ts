/** The table of `limits`: every bound that an operator can move, with the least that an RFC asks for. */
import { duration, integer, listOf, section, size, text } from './fields.js';
import { isNetwork } from './formats.js';

// primary/tally-merge.ts merges; talliesMs of worker/main.ts and its answerMs are the interval.
const merged =
  'The workers merge their counts every 250 ms: what comes in within that time can pass, at worst about this limit times `workers`.';
const host = 'one client, an IPv4 address or an IPv6 /64';
const network = 'one IPv4 /24 or IPv6 /48';
const perMinute = () => integer(0, 100_000_000);

export const limits = section({
  messageBytes: size('64KiB', '2GiB')
    .prefault('25MiB')
    .describe('Largest message, announced as SIZE (RFC 1870).'),
  recipients: integer(100, 100_000)
    .prefault(1_000)
    .describe(
      'Recipients of one message; more get 452 (RFC 5321 §4.5.3.1.8: at least 100). While the open transactions of a worker have 200000 together, each has 100; at twice as many, none more.',
    ),
  bytesInFlight: size('1MiB', '64GiB')
    .prefault('256MiB')
    .describe('Received and not yet on disk, per worker; beyond it reading pauses.'),
  bytesInFlightPerHost: size('64KiB', '64GiB')
    .optional()
    .describe(
      `The same of ${host}, in one worker and in all together; then its connections wait. Left out: a quarter of bytesInFlight.`,
    ),
  bytesInFlightPerNetwork: size('64KiB', '64GiB')
    .optional()
    .describe(
      `The same of ${network}, in one worker and in all together; then its connections wait. Left out: half of bytesInFlight.`,
    ),
  diskReserve: size('0', '1TiB')
    .prefault('1GiB')
    .describe(
      'Space kept free on the file system of `dataDir`: new mail gets 452 from 1 MiB for each worker above it on, and until there is more. Messages that have begun still come in, so let it be several times `messageBytes`. 0: none is kept; a disk with less than some 4 MiB free counts as full.',
    ),
  queueMessages: integer(1, 1_000_000_000)
    .prefault(1_000_000)
    .describe('Messages in the queue; beyond it new mail gets 452. Each worker has an even share.'),
  queueBytes: size('1MiB', '1000TiB')
    .prefault('64GiB')
    .describe('Size of the queue; beyond it new mail gets 452. Each worker has an even share.'),
  exempt: listOf(text('a network such as 192.0.2.0/24 or 2001:db8::/32', isNetwork), 'networks', 0, 10_000)
    .prefault(['127.0.0.0/8', '::1'])
    .describe(
      'Networks whose clients the limits per client network neither count nor refuse; nor do their failed logins count for a user.',
    ),
  connectionsPerWorker: integer(1, 1_000_000)
    .prefault(10_000)
    .describe('Open connections of one worker; more get 421.'),
  connectionsPerHost: integer(1, 1_000_000)
    .prefault(50)
    .describe(`Open connections of ${host}, across all workers. ${merged}`),
  connectionsPerNetwork: integer(1, 1_000_000)
    .prefault(200)
    .describe(`Open connections of ${network}, across all workers. ${merged}`),
  connectionsPerHostPerMinute: perMinute()
    .prefault(300)
    .describe(`Connections of ${host} in a minute, across all workers; more get 421. 0: no limit. ${merged}`),
  connectionsPerNetworkPerMinute: perMinute()
    .prefault(1_200)
    .describe(
      `Connections of ${network} in a minute, across all workers; more get 421. 0: no limit. ${merged}`,
    ),
  messagesPerHostPerMinute: perMinute()
    .prefault(0)
    .describe(
      `Messages accepted from ${host} in a minute, across all workers; then RCPT gets 451. 0: no limit. ${merged}`,
    ),
  messagesPerNetworkPerMinute: perMinute()
    .prefault(0)
    .describe(
      `Messages accepted from ${network} in a minute, across all workers; then RCPT gets 451. 0: no limit. ${merged}`,
    ),
  recipientsPerHostPerMinute: perMinute()
    .prefault(0)
    .describe(
      `Recipients accepted from ${host} in a minute, across all workers; then RCPT gets 451. 0: no limit. ${merged}`,
    ),
  recipientsPerNetworkPerMinute: perMinute()
    .prefault(0)
    .describe(
      `Recipients accepted from ${network} in a minute, across all workers; then RCPT gets 451. 0: no limit. ${merged}`,
    ),
  errors: integer(1, 1_000_000).prefault(10).describe('Refused commands in one session before 421.'),
  softErrors: integer(1, 1_000_000)
    .prefault(5)
    .describe('Refused commands in one session; each further one holds the client up for `errorDelay`.'),
  errorDelay: duration('0', '1m')
    .prefault('1s')
    .describe(
      'How long nothing more is read from a client after an error beyond `softErrors`; 0: not at all.',
    ),
  junkCommands: integer(1, 1_000_000)
    .prefault(50)
    .describe('NOOP, RSET, VRFY and the like without a message in between before 421.'),
  authFailures: integer(1, 1_000).prefault(5).describe('Failed logins in one session before 421.'),
  authFailuresPerHostPerMinute: perMinute()
    .prefault(20)
    .describe(
      `Failed logins from ${host} in a minute, across all workers; then it gets 421 on submission listeners, unless somebody logged in from there since the service was started, at most 30 days ago, and AUTH gets 454, except as who did. 0: no limit.`,
    ),
  authFailuresPerNetworkPerMinute: perMinute()
    .prefault(60)
    .describe(`Failed logins from ${network} in a minute, with the same consequences. 0: no limit.`),
  authFailuresPerAccountPerMinute: perMinute()
    .prefault(10)
    .describe(
      'Failed logins as one user, existing or not, in a minute, from everywhere; then AUTH as this user gets 454, except from where he logged in since the service was started, at most 30 days ago. 0: no limit.',
    ),
  commandLineBytes: size('512', '64KiB')
    .prefault('2KiB')
    .describe('Longest command line (RFC 5321 §4.5.3.1.4: at least 512).'),
  dataLineBytes: size('1000', '1MiB')
    .prefault('64KiB')
    .describe('Longest line of a message (RFC 5321 §4.5.3.1.6: at least 1000).'),
  headerBytes: size('16KiB', '16MiB').prefault('256KiB').describe('Longest header of a message.'),
  headerFields: integer(100, 100_000).prefault(1_000).describe('Fields in the header of a message.'),
  transactions: integer(1, 1_000_000)
    .prefault(1_000)
    .describe('Messages begun (MAIL) in one session before 421.'),
  sessionAge: duration('1s', '30d')
    .prefault('2h')
    .describe(
      'Age of a session at which it is ended with 421 between two messages; at twice the age between two commands.',
    ),
  receivedHops: integer(100, 1_000)
    .prefault(100)
    .describe('Received fields beyond which a message is looping (RFC 5321 §6.3: at least 100).'),
  ownReceivedHops: integer(2, 100)
    .prefault(5)
    .describe('Received fields with `hostname` after `by` beyond which a message is looping.'),
  commandTimeout: duration('1s', '1d')
    .prefault('5m')
    .describe('For one whole command (RFC 5321 §4.5.3.2.7: at least 5m).'),
  dataTimeout: duration('1s', '1d')
    .prefault('5m')
    .describe('Between two reads of a message (RFC 5321 §4.5.3.2.5: at least 3m).'),
  messageTimeout: duration('1s', '1d')
    .prefault('30m')
    .describe('For one whole message, from 354 or its first BDAT to its end.'),
  tlsHandshakeTimeout: duration('1s', '1h').prefault('30s').describe('For one TLS handshake.'),
  proxyHeaderTimeout: duration('1s', '1m')
    .prefault('5s')
    .describe('For the PROXY header of a connection from `proxyProtocol`.'),
  dataBytesPerSecond: integer(0, 1_000_000)
    .prefault(500)
    .describe(
      'Slowest that a message may come in, on its average since its first byte, without the time between two BDAT; 0: no limit.',
    ),
  dataRateAfter: duration('1s', '1h')
    .prefault('10s')
    .describe('Time from the first byte of a message until `dataBytesPerSecond` holds.'),
  stress: section({
    errors: integer(1, 1_000_000).prefault(1).describe('As `limits.errors`.'),
    junkCommands: integer(1, 1_000_000).prefault(1).describe('As `limits.junkCommands`.'),
    commandTimeout: duration('1s', '1d').prefault('10s').describe('As `limits.commandTimeout`.'),
    dataTimeout: duration('1s', '1d').prefault('1m').describe('As `limits.dataTimeout`.'),
    tlsHandshakeTimeout: duration('1s', '1h').prefault('10s').describe('As `limits.tlsHandshakeTimeout`.'),
  })
    .prefault({})
    .describe(
      'What holds instead while a worker has 80 % of `connectionsPerWorker` or `bytesInFlight`, until it has less than 60 %.',
    ),
});
