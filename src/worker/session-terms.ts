/**
 * What the sessions of one listener may do: the SessionOptions for each kind of client and channel. Each is made when the
 * first such client comes and shared by all that follow, since EHLO's reply is encoded once for it.
 */
import { NetworkSet } from '../base/networks.js';
import type { ConfiguredMechanism, ListenerConfig, LimitsConfig } from '../config/config.js';
import { mechanismsOn, type Channel } from '../policy/mechanisms.js';
import type { SessionLimits, SessionOptions } from '../protocol/types.js';
import type { Client } from './client.js';
import type { Service } from './service.js';

export class SessionTerms {
  readonly #config: ListenerConfig;
  readonly #service: Service;
  readonly #mechanisms: readonly ConfiguredMechanism[];
  readonly #namers: NetworkSet;
  // At most two newline policies × trusted with XCLIENT or not × named by it or not × plain or the four kinds of secure
  // channel.
  readonly #made = new Map<string, SessionOptions>();

  /** @param mechanisms that every user can be served by */
  constructor(config: ListenerConfig, service: Service, mechanisms: readonly ConfiguredMechanism[]) {
    this.#config = config;
    this.#service = service;
    this.#mechanisms = config.role === 'submission' ? mechanisms : [];
    this.#namers = new NetworkSet(config.xclient);
  }

  /** @param channel undefined outside TLS */
  for(client: Client, channel: Channel | undefined): SessionOptions {
    const { normalizedClients, config } = this.#service;
    const bareNewlines = normalizedClients.has(client.address)
      ? 'normalize'
      : config.policy.bareNewlines.mode;
    const mayNameClients = client.isKnown && this.#namers.has(client.address);
    const isNamed = client.named !== undefined;
    const inTls = channel === undefined ? 'plain' : `tls ${channel.canBind} ${channel.hasCertificate}`;
    const kind = `${bareNewlines} ${mayNameClients} ${isNamed} ${inTls}`;
    const known = this.#made.get(kind);
    if (known !== undefined) return known;
    const options = { ...this.#base(), bareNewlines, mayNameClients, ...this.#within(channel, isNamed) };
    this.#made.set(kind, options);
    return options;
  }

  /**
   * @param isNamed by XCLIENT: the certificate is that of the peer who speaks for the client. It satisfies what the
   *   listener asks of its peers, and nobody can log in with it.
   */
  #within(channel: Channel | undefined, isNamed: boolean): Partial<SessionOptions> {
    if (channel === undefined) return {};
    const hasCertificate = channel.hasCertificate && !isNamed;
    return {
      secure: true,
      startTls: false,
      certificateMissing: this.#config.clientCertificate === 'require' && !channel.hasCertificate,
      mechanisms: mechanismsOn({ ...channel, hasCertificate }, this.#mechanisms),
    };
  }

  /** Outside TLS. */
  #base(): Omit<SessionOptions, 'bareNewlines' | 'mayNameClients'> {
    const { protocol, role, tls } = this.#config;
    const { config, stress, envelopeRoom, room } = this.#service;
    const { hostname, limits, policy } = config;
    return {
      hostname,
      greeting: `${hostname} ${protocol === 'lmtp' ? 'LMTP' : 'ESMTP'} Postern`,
      role,
      protocol,
      secure: false,
      startTls: tls === 'starttls' || tls === 'required',
      tlsRequired: tls === 'required',
      certificateMissing: false,
      authRequired: role === 'submission',
      mechanisms: this.#mechanisms,
      limits: sessionLimits(limits),
      patience: stress,
      envelopeRoom,
      refuseUnauthorizedPipelining: policy.unauthorizedPipelining === 'refuse',
      ask: room.ask,
    };
  }
}

function sessionLimits(limits: LimitsConfig): SessionLimits {
  const { messageBytes, recipients, errors, softErrors, junkCommands, commandLineBytes } = limits;
  const { headerBytes, headerFields, transactions } = limits;
  const { receivedHops, ownReceivedHops, dataLineBytes, authFailures } = limits;
  return {
    messageBytes,
    recipients,
    errors,
    softErrors,
    junkCommands,
    commandLineBytes,
    headerBytes,
    headerFields,
    transactions,
    receivedHops,
    ownReceivedHops,
    dataLineBytes,
    authFailures,
  };
}
