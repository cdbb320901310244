/**
 * The library. For now the protocol by itself: bytes in; replies, body slices and questions out. It does no I/O, so it
 * fits under any socket, test or fuzzer.
 */
export { queuedAs, replies } from './protocol/replies.js';
export { traceField, type TraceFacts } from './protocol/received.js';
export { Session } from './protocol/session.js';
export * from './protocol/types.js';
