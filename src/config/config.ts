/**
 * The checked config as the program uses it: every default filled in, units resolved (bytes, milliseconds), paths
 * absolute. Deep-frozen. schema.ts makes it from YAML; a respawned worker gets the same object again.
 */

import type { Mechanism } from '../protocol/types.js';
import type { AuthBackendConfig } from './auth-backend-config.js';

export type ListenerTls = 'off' | 'starttls' | 'required' | 'implicit';
/** 'verified': required, and the certificate must be the hop's: by CA and name, or by a pinned fingerprint. */
export type RouteTls = 'off' | 'opportunistic' | 'required' | 'verified';

/** 'ask': wanted, not needed; 'require': without one that verifies, every command but QUIT is refused. */
type ClientCertificates = 'off' | 'ask' | 'require';

export interface ListenerConfig {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly role: 'inbound' | 'submission';
  readonly protocol: 'smtp' | 'lmtp';
  readonly tls: ListenerTls;
  readonly clientCertificate: ClientCertificates;
  /** Where authenticated mail goes; present exactly on submission listeners. */
  readonly route: string | undefined;
  /** Networks of proxies that must send a PROXY header, and are believed. */
  readonly proxyProtocol: readonly string[];
  /** Networks of clients that may use XCLIENT and XFORWARD. */
  readonly xclient: readonly string[];
}

/** Paths of PEM files. */
export interface CertificatePair {
  readonly certificate: string;
  readonly key: string;
}

export interface ServerCertificate extends CertificatePair {
  /** With keys of other kinds; each client gets the kind that it can use. */
  readonly alternatives: readonly CertificatePair[];
}

interface NamedCertificate extends ServerCertificate {
  /** A-labels, lower case; `*.example.org` covers one label more. */
  readonly names: readonly string[];
}

/** The certificate itself is for all names that `sni` does not cover. */
export interface TlsConfig extends ServerCertificate {
  readonly sni: readonly NamedCertificate[];
  /** PEM file; present where a listener wants client certificates. */
  readonly clientCa: string | undefined;
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3';
  /** OpenSSL's cipher list; undefined: ours. */
  readonly ciphers: string | undefined;
}

export interface NetworkHop {
  readonly kind: 'smtp' | 'lmtp';
  readonly host: string;
  readonly port: number;
  /** Lower is tried first; those of one priority share the mail by weight. */
  readonly priority: number;
  readonly weight: number;
}

export type Hop =
  | NetworkHop
  | { readonly kind: 'maildir'; readonly path: string }
  /** The MX hosts of each recipient's domain (RFC 5321 §5.1), on `port`. Stands alone. */
  | { readonly kind: 'mx'; readonly port: number };

/** AUTH towards the hops of a route (RFC 4954), inside TLS only. */
export interface HopCredentials {
  readonly user: string;
  readonly password: string;
}

/** Milliseconds; what is left out is RFC 5321 §4.5.3.2's (relay/hop-timeouts.ts). */
export interface RouteTimeouts {
  readonly connect?: number | undefined;
  readonly greeting?: number | undefined;
  readonly command?: number | undefined;
  readonly data?: number | undefined;
  readonly end?: number | undefined;
}

export interface RouteConfig {
  readonly name: string;
  /** A maildir or mx stands alone. */
  readonly hops: readonly Hop[];
  readonly tls: RouteTls;
  /** PEM file of the CAs for 'verified'; undefined: the system's. */
  readonly tlsCa: string | undefined;
  /** SHA-256 of the certificate (DER), lower-case hex without colons; any of them is enough. Empty: CA and name. */
  readonly tlsFingerprints: readonly string[];
  readonly auth: HopCredentials | undefined;
  readonly timeouts: RouteTimeouts;
  /** Messages per second of the whole service to this route; 0: no limit. Workers share it evenly. */
  readonly messagesPerSecond: number;
  /** Connections a worker holds to this route at most (maildir: deliveries at once). */
  readonly connections: number;
  readonly messagesPerConnection: number;
  readonly retry: RetryConfig;
}

export interface RetryConfig {
  readonly firstMs: number;
  readonly maxMs: number;
  /** Age at which what is still pending fails. */
  readonly expireMs: number;
}

export interface NotificationsConfig {
  /** Off: nobody is told; what fails stays in the queue as 'failed' for keepFailedMs, then it is removed. */
  readonly enabled: boolean;
  /** Age at which a sender is told once that his message is late; 0: never. */
  readonly delayAfterMs: number;
  /** The route for notifications to senders that no `domains` entry covers. Undefined: the route of the first
   *  submission listener; without one such senders cannot be told. */
  readonly route: string | undefined;
  /** Text file with the operator's words; undefined: ours. */
  readonly templateFile: string | undefined;
  /** Notifications to one sender address, and of one worker altogether, in an hour; beyond, none is sent. */
  readonly perSenderPerHour: number;
  readonly perHour: number;
  /** How long a failed message whose sender was not told is kept; then it is removed. */
  readonly keepFailedMs: number;
}

export interface DomainConfig {
  /** Lower case; `*.example.org` covers every subdomain, not example.org itself. */
  readonly names: readonly string[];
  /** Full addresses or local parts, lower case, from the list in the config or the lines of the file. */
  readonly recipients:
    | { readonly kind: 'any' }
    /** The domain takes no mail. */
    | { readonly kind: 'none' }
    | { readonly kind: 'list'; readonly addresses: readonly string[] };
  /** '' where no recipient is ever accepted and the config names none. */
  readonly route: string;
}

interface DnsblListConfig {
  readonly zone: string;
  /** Negative for allow lists. */
  readonly weight: number;
  /** Which A records count, as written: `127.0.0.[2..11]`, `127.0.0.2`, `127.0.[0..255].[1,3,5]`. */
  readonly replies: readonly string[];
}

export interface DnsblConfig {
  readonly lists: readonly DnsblListConfig[];
  /** Sum of weights at which the first RCPT is refused for good (550), or for now (451). 0: never. */
  readonly reject: number;
  readonly defer: number;
  readonly timeoutMs: number;
  readonly cacheEntries: number;
  /** Bounds around the TTL of an answer, and how long "not listed" is kept. */
  readonly minTtlMs: number;
  readonly maxTtlMs: number;
  readonly negativeTtlMs: number;
}

export interface LimitsConfig {
  readonly messageBytes: number;
  readonly recipients: number;
  /** Received and not yet on disk, per worker. */
  readonly bytesInFlight: number;
  /** Of one client and of its neighbourhood, of each worker and of all together. */
  readonly bytesInFlightPerHost: number;
  readonly bytesInFlightPerNetwork: number;
  /** Free space kept on the data directory's file system: below it MAIL gets 452. */
  readonly diskReserve: number;
  /** In the queue of the whole service; beyond either, MAIL gets 452. Workers share them evenly. */
  readonly queueMessages: number;
  readonly queueBytes: number;
  /** Free from the counts per client network. */
  readonly exempt: readonly string[];
  readonly connectionsPerWorker: number;
  /** Across all workers, per /32 or /64, and per /24 or /48. */
  readonly connectionsPerHost: number;
  readonly connectionsPerNetwork: number;
  /** In any minute, across all workers; 0: no limit. */
  readonly connectionsPerHostPerMinute: number;
  readonly connectionsPerNetworkPerMinute: number;
  readonly messagesPerHostPerMinute: number;
  readonly messagesPerNetworkPerMinute: number;
  readonly recipientsPerHostPerMinute: number;
  readonly recipientsPerNetworkPerMinute: number;
  readonly authFailuresPerHostPerMinute: number;
  readonly authFailuresPerNetworkPerMinute: number;
  readonly authFailuresPerAccountPerMinute: number;
  readonly errors: number;
  /** Errors beyond these hold the client up for errorDelayMs each. */
  readonly softErrors: number;
  readonly errorDelayMs: number;
  readonly junkCommands: number;
  readonly authFailures: number;
  readonly commandLineBytes: number;
  readonly dataLineBytes: number;
  readonly headerBytes: number;
  readonly headerFields: number;
  /** MAIL commands accepted in one session. */
  readonly transactions: number;
  readonly receivedHops: number;
  /** Received fields with our own hostname after `by` beyond which a message is looping. */
  readonly ownReceivedHops: number;
  /** For one whole command, however its bytes drip. RFC 5321 §4.5.3.2.7: at least 5 min. */
  readonly commandTimeoutMs: number;
  /** Between two reads during DATA. RFC 5321 §4.5.3.2.5: at least 3 min. */
  readonly dataTimeoutMs: number;
  /** For one whole message from 354 to its end. */
  readonly messageTimeoutMs: number;
  readonly tlsHandshakeTimeoutMs: number;
  readonly proxyHeaderTimeoutMs: number;
  /** Of a message, on the average, once dataRateAfterMs have gone by since its first byte; 0: no limit. */
  readonly dataBytesPerSecond: number;
  readonly dataRateAfterMs: number;
  /** Of a session, until it is ended between two transactions. */
  readonly sessionAgeMs: number;
  /** What these limits are while a worker is under stress. */
  readonly stress: StressLimits;
}

export type StressLimits = Pick<
  LimitsConfig,
  'errors' | 'junkCommands' | 'commandTimeoutMs' | 'dataTimeoutMs' | 'tlsHandshakeTimeoutMs'
>;

/** What an operator can name: -PLUS goes with its mechanism. */
export type ConfiguredMechanism = Exclude<Mechanism, `${string}-PLUS`>;

interface TokenRules {
  /** Names the user. */
  readonly userClaim: string;
}

export interface JwksConfig extends TokenRules {
  readonly keys:
    { readonly kind: 'url'; readonly url: string } | { readonly kind: 'file'; readonly file: string };
  readonly issuer: string;
  readonly audience: string;
  readonly algorithms: readonly string[];
}

export interface IntrospectionConfig extends TokenRules {
  readonly url: string;
  /** Who we are to the endpoint; the secret is the file's one line. */
  readonly client: { readonly id: string; readonly secret: string; readonly secretFile: string } | undefined;
  readonly issuer: string | undefined;
  readonly audience: string | undefined;
  readonly cacheMs: number;
}

export interface TokensConfig {
  readonly source:
    ({ readonly kind: 'jwks' } & JwksConfig) | ({ readonly kind: 'introspection' } & IntrospectionConfig);
  /** That a token must have. */
  readonly scope: string | undefined;
  readonly clockSkewMs: number;
  readonly timeoutMs: number;
}

export interface AuthConfig {
  readonly mechanisms: readonly ConfiguredMechanism[];
  /** Absolute path of the users file; undefined: nobody logs in with a password. */
  readonly usersFile: string | undefined;
  /** Undefined: the users file. */
  readonly backend: AuthBackendConfig | undefined;
  /** How long a success of the backend is remembered; 0: not at all. */
  readonly cacheMs: number;
  readonly tokens: TokensConfig | undefined;
}

export interface Config {
  readonly hostname: string;
  readonly postmaster: string | undefined;
  readonly dataDir: string;
  /** 'auto' resolved: one per core. */
  readonly workers: number;
  readonly listeners: readonly ListenerConfig[];
  /** Undefined where no listener wants TLS. */
  readonly tls: TlsConfig | undefined;
  readonly admin: { readonly address: string; readonly port: number; readonly token: string | undefined };
  readonly dns: { readonly servers: readonly string[] };
  readonly domains: readonly DomainConfig[];
  readonly routes: Readonly<Record<string, RouteConfig>>;
  readonly notifications: NotificationsConfig;
  readonly limits: LimitsConfig;
  readonly policy: {
    /** `normalizeFrom`: networks whose clients' messages are normalized where the mode is reject. */
    readonly bareNewlines: {
      readonly mode: 'reject' | 'normalize';
      readonly normalizeFrom: readonly string[];
    };
    readonly dnsbl: DnsblConfig | undefined;
    /** Of the greeting's last line, to clients that `limits.exempt` does not name; 0: none. */
    readonly greetDelayMs: number;
    readonly unauthorizedPipelining: 'refuse' | 'tolerate';
  };
  readonly auth: AuthConfig;
  readonly log: { readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error' };
}
