import { HostAddresses } from '../../src/base/host-addresses.js';

/** Host names as a worker looks them up, with no DNS server beside the hosts file. */
export const { lookup } = new HostAddresses([], 'AUTH_UNREACHABLE');
