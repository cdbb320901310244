/** Who accepts a connection: the worker whose turn the kernel says it is. Measured in bench/scheduling. */
import cluster from 'node:cluster';

// SCHED_NONE: workers accept from the shared socket themselves. A hop through the primary for each connection would
// cost it a core under a flood, and queue accepted connections in its memory without a bound.
export const schedulingPolicy = cluster.SCHED_NONE;
