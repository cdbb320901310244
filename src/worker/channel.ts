/** The worker's end of the cluster channel, typed. The only place that calls process.send. */
import cluster from 'node:cluster';
import type { FromWorker, ToWorker } from '../base/messages.js';

export class Channel {
  /** @param onMessage every message after this call; the primary waits for 'online' before it sends the first. */
  listen(onMessage: (message: ToWorker) => void): void {
    // oxlint-disable-next-line no-unsafe-type-assertion -- the other end is our primary, compiled with the same types
    process.on('message', (message) => onMessage(message as ToWorker));
  }

  /** @param onGone the primary has ended without us. Node ends this process right behind it. */
  onPrimaryGone(onGone: () => void): void {
    cluster.worker?.on('disconnect', onGone);
  }

  /** Nothing can be told to a primary that is gone; the 'disconnect' that follows ends this process. */
  send(message: FromWorker, sent?: () => void): void {
    if (!cluster.isWorker || process.send === undefined || !process.connected) {
      sent?.();
      return;
    }
    process.send(message, undefined, undefined, () => sent?.());
  }
}
