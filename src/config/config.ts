/**
 * The checked config as the program uses it: every default filled in, units resolved (bytes, milliseconds), paths
 * absolute. Deep-frozen. schema.ts makes it from YAML; a respawned worker gets the same object again.
 */

export type ListenerTls = 'off' | 'starttls' | 'required' | 'implicit';
export type RouteTls = 'off' | 'opportunistic' | 'required';

export interface ListenerConfig {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly role: 'inbound' | 'submission';
  readonly tls: ListenerTls;
  /** Where authenticated mail goes; present exactly on submission listeners. */
  readonly route: string | undefined;
}

export type Hop =
  | { readonly kind: 'smtp' | 'lmtp'; readonly host: string; readonly port: number }
  | { readonly kind: 'maildir'; readonly path: string };

export interface RouteConfig {
  readonly name: string;
  /** In order of preference: the next is tried when the one before cannot be reached. A maildir stands alone. */
  readonly hops: readonly Hop[];
  readonly tls: RouteTls;
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

export interface DomainConfig {
  /** Lower case; `*.example.org` covers every subdomain, not example.org itself. */
  readonly names: readonly string[];
  /** Full addresses or local parts, lower case, from the list in the config or the lines of the file. */
  readonly recipients:
    { readonly kind: 'any' } | { readonly kind: 'list'; readonly addresses: readonly string[] };
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
  /** Free space kept on the data directory's file system: below it MAIL gets 452. */
  readonly diskReserve: number;
  /** Free from the counts per client network. */
  readonly exempt: readonly string[];
  readonly connectionsPerWorker: number;
  /** Across all workers, per /32 or /64, and per /24 or /48. */
  readonly connectionsPerHost: number;
  readonly connectionsPerNetwork: number;
  readonly errors: number;
  readonly junkCommands: number;
  readonly authFailures: number;
  readonly commandLineBytes: number;
  readonly dataLineBytes: number;
  readonly headerBytes: number;
  readonly receivedHops: number;
  /** For one whole command, however its bytes drip. RFC 5321 §4.5.3.2.7: at least 5 min. */
  readonly commandTimeoutMs: number;
  /** Between two reads during DATA. RFC 5321 §4.5.3.2.5: at least 3 min. */
  readonly dataTimeoutMs: number;
  /** For one whole message from 354 to its end. */
  readonly messageTimeoutMs: number;
  readonly tlsHandshakeTimeoutMs: number;
}

export interface Config {
  readonly hostname: string;
  readonly postmaster: string | undefined;
  readonly dataDir: string;
  /** 'auto' resolved: one per core. */
  readonly workers: number;
  readonly listeners: readonly ListenerConfig[];
  /** PEM files; undefined where no listener wants TLS. */
  readonly tls: { readonly certificate: string; readonly key: string } | undefined;
  readonly admin: { readonly address: string; readonly port: number; readonly token: string | undefined };
  readonly dns: { readonly servers: readonly string[] };
  readonly domains: readonly DomainConfig[];
  readonly routes: Readonly<Record<string, RouteConfig>>;
  readonly limits: LimitsConfig;
  readonly policy: { readonly dnsbl: DnsblConfig | undefined };
  readonly auth: {
    readonly mechanisms: readonly ('PLAIN' | 'LOGIN')[];
    /** Absolute path of the users file; undefined: no AUTH. */
    readonly usersFile: string | undefined;
  };
  readonly log: { readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error' };
}
