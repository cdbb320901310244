/**
 * Which names count as one account: the key that tallies (tallies.ts) and known log-ins (known-logins.ts) have of it is
 * the same for all spellings that could be one user's. For counting alone: who may log in is the backend's to say.
 */
import { createHash } from 'node:crypto';

import { prepareString } from './prepare-string.js';

/** Of one length, whatever the name. */
export function accountKey(user: string): string {
  const digest = createHash('sha256').update(foldedName(user)).digest('base64url');
  return `account:${digest.slice(0, 22)}`;
}

/**
 * What some backend or other takes for the same name: besides what prepareString makes one, letters of either case,
 * with or without marks (collations of SQL), what nobody sees and spaces around (matching rules of directories, RFC 4518
 * §2). That two users may share a count does less harm than one with a count for each spelling.
 */
function foldedName(user: string): string {
  return (prepareString(user) ?? user)
    .normalize('NFKD')
    .replace(/[\p{M}\p{Cf}\p{Default_Ignorable_Code_Point}]/gu, '')
    .toUpperCase()
    .toLowerCase()
    .replace(/\s+/gu, ' ')
    .trim();
}
