/** The client's side of SCRAM (RFC 5802 §3), for tests. Its keys are derived here, not with the server's code. */
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';

export interface ScramClientOptions {
  readonly hash: 'sha256' | 'sha1';
  readonly user: string;
  readonly password: string;
  readonly nonce?: string;
  readonly authorizationId?: string;
  /** `n`, `y` or `p=…`. */
  readonly flag?: string;
  /** What the client believes the channel to be. */
  readonly binding?: Buffer;
}

export class ScramClient {
  /** The whole first message. */
  readonly first: string;
  readonly #options: ScramClientOptions;
  readonly #header: string;
  readonly #bare: string;
  /** Of `v=`, once `final` was made. */
  signature = '';

  constructor(options: ScramClientOptions) {
    const { user, nonce = 'rOprNGfwEbeRWgbNEkqO', authorizationId = '', flag = 'n' } = options;
    this.#options = options;
    this.#header = `${flag},${authorizationId === '' ? '' : `a=${saslName(authorizationId)}`},`;
    this.#bare = `n=${saslName(user)},r=${nonce}`;
    this.first = this.#header + this.#bare;
  }

  /** @param change of what is sent, before it is signed */
  final(serverFirst: string, change: (withoutProof: string) => string = (text) => text): string {
    const { hash, password, binding = Buffer.alloc(0) } = this.#options;
    const [, nonce = '', salt = '', iterations = ''] = /^r=(.+),s=(.+),i=(\d+)$/.exec(serverFirst) ?? [];
    const channel = Buffer.concat([Buffer.from(this.#header), binding]).toString('base64');
    const withoutProof = change(`c=${channel},r=${nonce}`);
    const bytes = hash === 'sha256' ? 32 : 20;
    const salted = pbkdf2Sync(password, Buffer.from(salt, 'base64'), Number(iterations), bytes, hash);
    const hmac = (key: Buffer, text: string): Buffer => createHmac(hash, key).update(text).digest();
    const clientKey = hmac(salted, 'Client Key');
    const authMessage = `${this.#bare},${serverFirst},${withoutProof}`;
    const signature = hmac(createHash(hash).update(clientKey).digest(), authMessage);
    const proof = Buffer.from(clientKey.map((byte, at) => byte ^ (signature[at] ?? 0)));
    this.signature = hmac(hmac(salted, 'Server Key'), authMessage).toString('base64');
    return `${withoutProof},p=${proof.toString('base64')}`;
  }
}

function saslName(name: string): string {
  return name.replaceAll('=', '=3D').replaceAll(',', '=2C');
}
