/**
 * The table of every config key: name, type, bounds, default, one sentence of help. What it parses to still has
 * relative paths and names instead of things; checks.ts looks across keys, resolve.ts makes the Config of it. The
 * reference, the editor schema and the environment variables are read from this table.
 */
import { literal, number, record, union, type z } from 'zod';
import {
  choice,
  decimal,
  duration,
  flag,
  integer,
  ipAddress,
  listOf,
  name,
  path,
  section,
  text,
} from './fields.js';
import {
  domainForms,
  isDnsServer,
  isDomain,
  isLocalPart,
  isMailAddress,
  isNetwork,
  isReplyFilter,
  isToken,
} from './formats.js';
import { auth } from './schema-auth.js';
import { limits } from './schema-limits.js';
import { route } from './schema-routes.js';
import { tls } from './schema-tls.js';

function networkText() {
  return text('a network such as 192.0.2.0/24 or 2001:db8::/32', isNetwork);
}

const listener = section({
  name: name().describe('Names the listener in logs and metrics.'),
  address: ipAddress().describe('Address to listen on; 0.0.0.0 and :: are all of the machine.'),
  port: integer(0, 65_535).describe('Port to listen on; 0 takes a free one.'),
  role: choice(['inbound', 'submission'])
    .prefault('inbound')
    .describe('inbound takes mail for `domains`; submission takes mail for anywhere from users who log in.'),
  protocol: choice(['smtp', 'lmtp'])
    .prefault('smtp')
    .describe(
      'lmtp (RFC 2033) is for a mail system that hands mail over: a reply for each recipient; inbound only, never on port 25.',
    ),
  tls: choice(['off', 'starttls', 'required', 'implicit'])
    .optional()
    .describe(
      'starttls offers it, required insists on STARTTLS, implicit starts with TLS. Left out: required for submission; else starttls where `tls` is set, off where not.',
    ),
  clientCertificate: choice(['off', 'ask', 'require'])
    .prefault('off')
    .describe(
      'Certificates of clients, by `tls.clientCa`. ask: wanted, not needed; require: without one that verifies every command gets 554.',
    ),
  route: name()
    .optional()
    .describe('Where authenticated mail goes: needed with role submission, not allowed with inbound.'),
  proxyProtocol: listOf(networkText(), 'networks', 0, 1_000)
    .prefault([])
    .describe(
      'Networks of your proxies. They must send a PROXY header, v1 or v2, and whom it names is the client; a header from anyone else is refused as no SMTP.',
    ),
  xclient: listOf(networkText(), 'networks', 0, 1_000)
    .prefault([])
    .describe(
      'Networks of your content filters and mail proxies. They may name the client they speak for by XCLIENT, and where a message came from by XFORWARD; LOGIN counts with role submission.',
    ),
});

const recipientAddress = text(
  'an address or the part before its @',
  (value) => isMailAddress(value) || isLocalPart(value),
);

const domain = section({
  names: listOf(
    text(
      'a domain such as example.org or *.example.org',
      (value) => value === '*' || domainForms(value).length > 0,
    ),
    'domains',
    1,
    100_000,
  ).describe('Domains that mail is accepted for; *.example.org is all below example.org, without itself.'),
  recipients: union(
    [
      literal('any', { error: 'any, none, a list of addresses, or { file: PATH }' }),
      literal('none', { error: 'any, none, a list of addresses, or { file: PATH }' }),
      listOf(recipientAddress, 'addresses', 1, 100_000),
      section({ file: path().describe('Text file, one address a line; # starts a comment.') }),
    ],
    { error: 'any, none, a list of addresses, or { file: PATH }' },
  )
    .prefault('any')
    .meta({ kind: 'any, none, a list of addresses, or { file: PATH }' })
    .describe(
      'Who exists there, as full addresses or as parts before the @; others are refused at RCPT. none: the domain takes no mail for good, not even for Postmaster (556, RFC 7504).',
    ),
  route: name()
    .optional()
    .describe(
      'The key under `routes` that this mail is handed to. Left out only where `recipients` is none.',
    ),
});

const dnsbl = section({
  lists: listOf(
    section({
      zone: text('a domain such as zen.example.net', isDomain).describe('The zone that is asked.'),
      weight: number({ error: 'a number from -1000 to 1000, not 0' })
        .refine((value) => value !== 0 && Math.abs(value) <= 1_000, {
          error: 'a number from -1000 to 1000, not 0',
        })
        .meta({ kind: 'a number from -1000 to 1000, not 0' })
        .prefault(1)
        .describe('Added to the sum when the client is listed; negative for allow lists.'),
      replies: listOf(
        text('a filter such as 127.0.0.[2..11], its first octet 127', isReplyFilter),
        'reply filters',
        1,
        32,
      )
        .prefault(['127.0.0.[2..254]'])
        .describe('Which A records count as listed.'),
    }),
    'lists',
    1,
    64,
  ).describe('The lists, asked together once for each client.'),
  reject: decimal(0, 100_000)
    .prefault(1)
    .describe('Sum of weights from which recipients are refused (550); 0: never.'),
  defer: decimal(0, 100_000)
    .prefault(0)
    .describe('Sum of weights from which recipients are deferred (451); 0: never.'),
  timeout: duration('100ms', '30s')
    .prefault('3s')
    .describe('Wait for all lists; one that is late counts as not listing.'),
  cacheEntries: integer(0, 1_000_000).prefault(10_000).describe('Answers that one worker remembers.'),
  minTtl: duration('0', '1d')
    .prefault('1m')
    .describe('Shortest time that an answer is remembered, whatever its TTL.'),
  maxTtl: duration('1s', '7d')
    .prefault('1h')
    .describe('Longest time that an answer is remembered, whatever its TTL.'),
  negativeTtl: duration('0', '1d').prefault('5m').describe('Time that "not listed" is remembered.'),
});

const notifications = section({
  enabled: flag()
    .prefault(true)
    .describe(
      'false: no sender is told anything; what fails stays in the queue as `failed` for `keepFailed`, then it is removed.',
    ),
  delayAfter: duration('0', '30d')
    .prefault('4h')
    .describe('Age at which a sender is told, once, that his message is late; 0: never.'),
  route: name()
    .optional()
    .describe(
      'The route to senders that `domains` does not cover, not a maildir. Left out: that of the first submission listener; without one they are not told.',
    ),
  template: path().optional().describe("Text file with your own words. Left out: Postern's."),
  perSenderPerHour: integer(1, 1_000_000)
    .prefault(20)
    .describe('Notifications to one address in an hour, of one worker; beyond it none is sent.'),
  perHour: integer(1, 10_000_000)
    .prefault(1_000)
    .describe('Notifications in an hour, of one worker; beyond it none is sent.'),
  keepFailed: duration('0', '365d')
    .prefault('7d')
    .describe(
      'How long a failed message is kept whose sender was not told; then it is removed, with a line in the log.',
    ),
});

export const sections = {
  hostname: text('a domain name such as mx1.example.org', isDomain).describe(
    'The name in the greeting, in Received and towards next hops; it should resolve to this machine.',
  ),
  postmaster: text('a mail address such as postmaster@example.org', isMailAddress)
    .optional()
    .describe(
      'Where our own reports go, and mail to Postmaster without a domain (RFC 5321 §4.5.1). Outside `domains`: the reports alone; then that mail goes to postmaster at the first of `domains`, as it does without this key. `postern check` says where.',
    ),
  dataDir: path()
    .optional()
    .describe(
      'Folder of the queue, the admin token and maildirs. Left out: ./data in the working directory.',
    ),
  workers: union(
    [
      literal('auto', { error: 'auto or a whole number from 1 to 256' }),
      integer(1, 256, 'auto or a whole number from 1 to 256'),
    ],
    {
      error: 'auto or a whole number from 1 to 256',
    },
  )
    .meta({ kind: 'auto or a whole number from 1 to 256' })
    .prefault('auto')
    .describe('Worker processes; auto: one per core.'),
  listeners: listOf(listener, 'listeners', 1, 64).describe('Where clients connect.'),
  tls: tls.optional().describe('The certificates that listeners with TLS show.'),
  admin: section({
    address: ipAddress()
      .prefault('127.0.0.1')
      .describe('Address of the admin HTTP; outside loopback it needs a `token`.'),
    port: integer(0, 65_535).prefault(2580).describe('Port of the admin HTTP; 0 takes a free one.'),
    token: text('16 to 256 printable ASCII characters without spaces', isToken)
      .nullable()
      .meta({ kind: '16 to 256 printable ASCII characters without spaces, or null' })
      .prefault(null)
      .describe('Bearer token of the admin API; null: made at start and kept in `dataDir`/admin.token.'),
  })
    .prefault({})
    .describe('Metrics, health and the admin API that this command line uses.'),
  dns: section({
    servers: listOf(
      text('an IP address, with a port if wanted: 127.0.0.1:5353, [::1]:53', isDnsServer),
      'servers',
      0,
      8,
    )
      .prefault([])
      .describe("Resolvers to ask; empty: the system's."),
  })
    .prefault({})
    .describe('Name resolution.'),
  domains: listOf(domain, 'domains', 0, 10_000)
    .prefault([])
    .describe('Mail that is accepted from anybody, and where it goes.'),
  routes: record(name(), route, { error: 'a map of routes, each under a name of your own' })
    .prefault({})
    .describe('Next hops, each under a name of your own.'),
  notifications: notifications
    .prefault({})
    .describe('What senders are told about mail that fails, is late or was delivered (RFC 3464).'),
  limits: limits.prefault({}).describe('Bounds on what one message, one client and one worker can take.'),
  policy: section({
    bareNewlines: section({
      mode: choice(['reject', 'normalize'])
        .prefault('reject')
        .describe(
          'A message with a CR or LF alone: reject answers 550 at its end, normalize makes each a CRLF. Only CRLF.CRLF ends a message in either.',
        ),
      normalizeFrom: listOf(
        text('a network such as 192.0.2.0/24 or 2001:db8::/32', isNetwork),
        'networks',
        0,
        10_000,
      )
        .prefault([])
        .describe('Clients whose messages are normalized where the mode is reject: printers, old programs.'),
    })
      .prefault({})
      .describe('Line ends that are none; a NUL is refused in any case.'),
    dnsbl: dnsbl
      .optional()
      .describe('DNS block and allow lists; asked at connect, needed at the first RCPT. Left out: none.'),
    greetDelay: duration('0', '1m')
      .prefault('0')
      .describe(
        'Wait between a first line and the last line of the greeting of inbound listeners, `limits.exempt` excepted; who speaks before its end gets 554. 0: none, since it holds every client up.',
      ),
    unauthorizedPipelining: choice(['refuse', 'tolerate'])
      .prefault('refuse')
      .describe(
        'What becomes of a client that sends on without the reply it has to wait for (RFC 2920 §3.1): 554 and the end, or nothing. Content sent behind DATA before 354 gets 554 either way: it could be smuggled commands.',
      ),
  })
    .prefault({})
    .describe('Decisions about clients.'),
  auth: auth.prefault({}).describe('Logins.'),
  log: section({
    level: choice(['trace', 'debug', 'info', 'warn', 'error'])
      .prefault('info')
      .describe('Least important line that is written.'),
  })
    .prefault({})
    .describe('The log: one JSON line per event on standard output.'),
} as const;

export const itemSchemas = { listener, domain, route, dnsbl } as const;

export const configSchema = section(sections);

/** A file that has passed the schema: defaults filled in, units resolved, paths and references as written. */
export type FileConfig = z.output<typeof configSchema>;
export type FileAuthBackend = Exclude<FileConfig['auth']['backend'], 'users'>;
export type FileListener = z.output<typeof listener>;
export type FileAuth = z.output<typeof auth>;
export type FileDomain = z.output<typeof domain>;
export type FileRoute = z.output<typeof route>;
export type FileTls = z.output<typeof tls>;
export type FileNotifications = z.output<typeof notifications>;
export type FileDnsbl = z.output<typeof dnsbl>;
