import type { ConnectionSettings, OnLostPosition, Owned, SnapshotProgress } from './source.js';
import type { DesiredStatus, StreamStatus } from './stream-state.js';

/** Where a pipeline's events go. */
export type PipelineOutput =
  | {
      readonly type: 'redis_stream';
      readonly retention?: { readonly max_entries: number; readonly on_full: 'block' | 'trim' };
    }
  | {
      readonly type: 'kafka';
      readonly connectionId: string;
      /** With the placeholders `{stream} {schema} {table} {topic}`. */
      readonly topic: string;
      /** Absent: a topic that is missing is an error. */
      readonly createTopics?: { readonly partitions: number; readonly replicationFactor: number };
      /** A record without a value follows each delete. */
      readonly tombstones?: boolean;
    };

/** Why a stream is in `error`, or what its last retryable failure was. */
export interface LastError {
  readonly code: string;
  readonly message: string;
  readonly hint: string | null;
  /** RFC 3339. */
  readonly occurred_at: string;
}

/** Everything a worker needs to run a stream: read when it takes the lease, and again for each further attempt. */
export interface StreamSpec {
  readonly id: string;
  readonly workspaceId: string;
  readonly name: string;
  readonly sourceType: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly connection: ConnectionSettings | null;
  /** Why the secrets of `config` and `connection` are masked and no source can be made of them; absent: they are in the clear. */
  readonly sealed?: string;
  /** Of `config` and `connection`; a later one shows in the renewal of the lease. */
  readonly configRevision: number;
  readonly output: PipelineOutput;
  readonly status: StreamStatus;
  readonly desired: DesiredStatus;
  /** Grows with every command. A confirmation names the generation that it fulfils. */
  readonly generation: number;
  /** The fencing token of this lease. */
  readonly epoch: number;
  readonly owned: Owned;
  readonly onLostPosition: OnLostPosition | null;
  /** Generation of the start that said so: which decision it is. */
  readonly givenUpAt: number;
}

/** What a worker tells about a stream. Fields that are absent stay as they are. */
export interface StatusReport {
  /** `stopped` makes the desired status `stopped` too: a source that came to its end (`snapshot: "only"`) stays ended. */
  readonly status?: StreamStatus;
  readonly lastError?: LastError | null;
  readonly blocked?: { readonly reason: string } | null;
  /** `over`: nothing is left of what was told as running: its worker was killed behind its last row and told nobody. */
  readonly snapshot?: SnapshotProgress | 'over';
  /** Over how many readers it could be spread now; 1: it is not. */
  readonly shares?: number;
  /** Gives the lease back in the same statement. */
  readonly releaseLease?: boolean;
  /** The decision about a lost position has been carried out. */
  readonly clearOnLostPosition?: boolean;
}
