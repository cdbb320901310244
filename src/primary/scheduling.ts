/** Who accepts a connection: any worker that is free, from the socket that all share. */
import cluster from 'node:cluster';

// Measured in bench/scheduling (its README has the table): SCHED_RR, Node's default, took 2.2 to 3.1 times the CPU for
// each connection, a third of it in the primary, and queues without a bound there. reusePort was slowest with one
// worker blocked, because it keeps dealing that one its share.
export const schedulingPolicy = cluster.SCHED_NONE;
