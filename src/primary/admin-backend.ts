/**
 * What the admin HTTP may ask of the primary. admin/server.ts knows HTTP, tokens and nothing of workers; the backend
 * (supervisor's side) knows workers and nothing of HTTP. Shapes of the answers: base/messages.ts.
 */
import type { QueueAnswer, QueueCall, ReloadAnswer, RouteStatus, Status } from '../base/messages.js';

export interface AdminBackend {
  /** The whole service at this moment. Workers that do not answer within the time-out are left out of `queue`. */
  status(): Promise<Status>;
  /** The merged Prometheus exposition of all workers, living and departed. Never rejects for a silent worker. */
  metrics(): Promise<string>;
  /** For /readyz: `ok` when mail is accepted; otherwise one sentence for each thing that stands in the way. */
  ready(): Readiness;
  /** Re-reads the config and replaces the workers. Resolves when they are replaced or it was refused or given up. */
  reload(): Promise<ReloadAnswer>;
  /** Begins the drain and returns at once; the process exits when it is done. */
  stop(): void;
  /** Asked of the workers that it concerns, answers merged. `NOT_FOUND` when none holds the message. */
  queue(call: QueueCall): Promise<QueueAnswer>;
  /** The routes of the config, and those that were frozen and have left it. Sorted by name. */
  routes(): RouteStatus[];
  /** Resolves when it is on disk and the workers are told. @throws PosternError NOT_FOUND, DATA_DIR_UNUSABLE */
  setFrozen(route: string, frozen: boolean): Promise<void>;
}

export interface Readiness {
  readonly ok: boolean;
  readonly reasons: string[];
}
