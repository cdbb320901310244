/**
 * Of a connection to a backend that nothing is said on: the first probe of TCP. Firewalls forget what was silent for
 * five minutes or more; a connection that is gone is found here, not by a login that waits in vain.
 */
export const keepAliveMs = 60_000;
