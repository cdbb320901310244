/**
 * A destination is what mail waits for: the name of a route, or `<route>/<domain>` where the route looks up the MX of
 * each domain, so that one dead domain there delays no other. Route names hold no slash (config/fields.ts). Made where
 * a recipient is accepted, stored with it, read by the relay and by the operator's filters.
 */

/** @param domain lower case, as policy compares it */
export function mxDestination(route: string, domain: string): string {
  return `${route}/${domain}`;
}

/** The route's name: the label of metrics, and what an operator freezes or filters by. */
export function routeOf(destination: string): string {
  const slash = destination.indexOf('/');
  return slash < 0 ? destination : destination.slice(0, slash);
}

/** The domain whose MX is to be looked up; '' where the route names its hops. */
export function domainOf(destination: string): string {
  const slash = destination.indexOf('/');
  return slash < 0 ? '' : destination.slice(slash + 1);
}
