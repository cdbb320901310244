/** Who answers log-ins instead of the users file, as the program uses it. Part of Config. */

interface Bounds {
  /** Of one log-in, its wait in the line included. */
  readonly timeoutMs: number;
  /** Of one worker. */
  readonly concurrent: number;
  readonly waiting: number;
  /** Passwords may go unencrypted to another machine: for `config show` alone, the checks have looked at it. */
  readonly plaintext: boolean;
}

export type SocketTarget = { readonly path: string } | { readonly host: string; readonly port: number };

interface DovecotAuthConfig extends Bounds {
  readonly kind: 'dovecot';
  readonly target: SocketTarget;
  readonly service: string;
}

interface HttpAuthConfig extends Bounds {
  readonly kind: 'http';
  readonly url: string;
  /** PEM file. */
  readonly ca: string | undefined;
  readonly token: string | undefined;
  /** Key of the HMAC. */
  readonly secret: string | undefined;
}

export interface LdapAuthConfig extends Bounds {
  readonly kind: 'ldap';
  readonly secure: boolean;
  readonly host: string;
  readonly port: number;
  readonly startTls: boolean;
  /** PEM file. */
  readonly ca: string | undefined;
  readonly find:
    | { readonly dn: string }
    | {
        readonly search: {
          readonly base: string;
          readonly filter: string;
          readonly account: { readonly dn: string; readonly password: string } | undefined;
        };
      };
}

export type AuthBackendConfig = DovecotAuthConfig | HttpAuthConfig | LdapAuthConfig;
