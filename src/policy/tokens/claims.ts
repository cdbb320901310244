/** What a token says about its user, read from the claims of a JWT or the answer of an introspection. */
import { prepareString } from '../../base/prepare-string.js';

export interface ClaimRules {
  /** Names the user; its value is the user name. */
  readonly userClaim: string;
  /** Of the space-separated `scope` (RFC 8693 §4.2) or the list or text `scp`; undefined: none is asked for. */
  readonly scope: string | undefined;
}

export type Claims = Readonly<Record<string, unknown>>;

/** The user, prepared; or why there is none, for the log. */
export function userOf(
  claims: Claims,
  rules: ClaimRules,
): { readonly user: string } | { readonly why: string } {
  const { userClaim, scope } = rules;
  if (scope !== undefined && !scopesOf(claims).includes(scope)) return { why: `its scope has no ${scope}` };
  const value = claims[userClaim];
  const user = typeof value === 'string' ? prepareString(value) : undefined;
  if (user === undefined) return { why: `it has no ${userClaim} that could be a user name` };
  // Anybody may claim an address that he never showed to be his (OpenID Connect Core §5.7).
  if (userClaim === 'email' && !saysVerified(claims['email_verified']))
    return { why: 'its email is not verified' };
  return { user };
}

/** Some issuers write text. An issuer that says nothing of it vouches for every address that it puts in. */
function saysVerified(value: unknown): boolean {
  return value === undefined || value === true || value === 'true';
}

function scopesOf({ scope, scp }: Claims): string[] {
  return [scope, scp].flatMap((value): string[] => {
    if (typeof value === 'string') return value.split(' ');
    return Array.isArray(value) ? value.filter((entry) => typeof entry === 'string') : [];
  });
}
