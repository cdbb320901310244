/** The files that a config names: users, recipients, the words of notifications. Looked at when the config is loaded, so
 *  that a wrong one is told then and not at the first handshake, login or recipient. */
import { accessSync, constants, readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { describeError, errorCodeOf } from '../base/errors.js';
import { domainMatcher, type Parts } from './checks.js';
import { show, type Path } from './faults.js';
import { isLocalPart, isMailAddress } from './formats.js';
import type { FileDomain } from './schema.js';
import { thisUser } from './this-machine.js';
import type { FaultList } from './validate.js';

// 16 MiB of addresses are half a million; more want a look-up, not a list that each worker holds.
const maxRecipientsBytes = 16 * 2 ** 20;

// It goes into every notification; more than this is no text that anybody reads.
const maxTemplateBytes = 64 * 2 ** 10;

/** @param base the folder that relative paths start at */
export function checkFiles(parts: Parts, base: string, list: FaultList): void {
  const users = parts.auth?.users.file;
  if (users !== undefined) checkUsersFile(resolve(base, users), list);
  const template = parts.notifications?.template;
  if (template !== undefined)
    readText(
      ['notifications', 'template'],
      resolve(base, template),
      maxTemplateBytes,
      'the words of notifications',
      list,
    );
}

export function readPem(path: Path, file: string, list: FaultList): Buffer | undefined {
  try {
    return readFileSync(file);
  } catch (error) {
    list.add(
      path,
      `found a file that cannot be read (${describeError(error)}), expected a PEM file that this user may read`,
    );
    return undefined;
  }
}

function checkUsersFile(file: string, list: FaultList): void {
  try {
    accessSync(file, constants.R_OK);
  } catch (error) {
    const expected =
      errorCodeOf(error) === 'EACCES'
        ? `one that this user may read, in a folder that it may enter: \`chown ${thisUser()} ${file}\``
        : `one made by \`postern users add NAME --config ${list.file}\``;
    list.add(
      ['auth', 'users', 'file'],
      `found a file that cannot be read (${describeError(error)}), expected ${expected}`,
    );
  }
}

/** The addresses of `recipients: { file }`, lower case; faults name the file's own lines. */
export function readRecipients(domain: FileDomain, index: number, base: string, list: FaultList): string[] {
  if (typeof domain.recipients === 'string' || Array.isArray(domain.recipients)) return [];
  const path = ['domains', index, 'recipients', 'file'];
  const file = resolve(base, domain.recipients.file);
  const text = readText(path, file, maxRecipientsBytes, 'one address a line', list);
  const covers = domainMatcher(domain.names);
  const addresses: string[] = [];
  text.split('\n').forEach((raw, line) => {
    const address = raw.replace(/#.*/, '').trim();
    if (address === '') return;
    if (!isMailAddress(address) && !isLocalPart(address))
      list.addIn(
        file,
        line + 1,
        path,
        `found ${show(address)}, expected an address or the part before its @`,
      );
    else if (!covers(address))
      list.addIn(
        file,
        line + 1,
        path,
        `found ${show(address)}, expected an address in ${domain.names.join(', ')}`,
      );
    else addresses.push(address.toLowerCase());
  });
  return addresses;
}

/** @param holding what the text is. @returns '' where there is a fault */
export function readText(
  path: Path,
  file: string,
  maxBytes: number,
  holding: string,
  list: FaultList,
): string {
  try {
    const { size } = statSync(file);
    if (size <= maxBytes) return readFileSync(file, 'utf8');
    list.add(path, `found a file of ${size} bytes, expected at most ${maxBytes}`);
  } catch (error) {
    list.add(
      path,
      `found a file that cannot be read (${describeError(error)}), expected a text file with ${holding}`,
    );
  }
  return '';
}
