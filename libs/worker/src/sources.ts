import {
  NO_ORDERS,
  StreamError,
  systemClock,
  type EventLog,
  type Log,
  type LogTopics,
  type Neighbours,
  type Sharer,
  type OnLostPosition,
  type Outbound,
  type Owned,
  type PipelineOutput,
  type Positions,
  type SetAside,
  type Share,
  type SnapshotOrders,
  type Source,
  type SourceType,
  type Steps,
  type StreamSpec,
} from '@planasonix/core';
import { discretionOf } from './discreet.js';
import type { Neighbourhood, Neighboured } from './neighbourhood.js';

export interface SourceWishes {
  readonly owned: Owned;
  readonly onLostPosition: OnLostPosition | null;
  readonly remember: (owned: Owned) => Promise<void>;
  readonly abandoned?: () => Promise<Positions>;
  readonly reached?: (() => Promise<Positions>) | undefined;
  readonly setAside?: (records: readonly SetAside[]) => Promise<void>;
  readonly orders: SnapshotOrders;
  /** Absent: all of it. */
  readonly share?: Share;
}

/** Without a lease nothing may be made at the source, and no order is anybody's to carry out. */
const barred: Pick<SourceWishes, 'remember' | 'orders'> = {
  orders: NO_ORDERS,
  remember: () => Promise.reject(new Error('only the owner of a stream makes things at its source')),
};

/** What a source is made of. A draft may not say where its events go. */
export type Looked = Pick<StreamSpec, 'id' | 'name' | 'config' | 'connection' | 'sealed' | 'owned'> &
  Partial<Pick<StreamSpec, 'output' | 'workspaceId'>> &
  Pick<Neighboured, 'pipeline'>;

/** What sources are told of that is not theirs. */
export interface Surroundings {
  readonly logs: { of(output: PipelineOutput): Pick<EventLog, 'topics'> };
  readonly neighbourhood: Neighbourhood;
  sharers(of: Looked): Promise<readonly Sharer[]>;
}

/** Makes sources of one type from what the store says of a stream. */
export class Sources {
  constructor(
    readonly type: SourceType,
    readonly outbound: Outbound,
    private readonly log: Log,
    private readonly step?: Steps,
    /** Absent: sources are told neither where their events go nor who else reads. */
    private readonly around?: Surroundings,
  ) {}

  /** For the owner of the stream. @throws StreamError `secrets_sealed`, or what its config is refused for */
  owned(spec: Looked, wishes: SourceWishes): Source {
    if (spec.sealed !== undefined) throw new StreamError('secrets_sealed', spec.sealed);
    const source = this.type.create({
      streamId: spec.id,
      streamName: spec.name,
      config: spec.config,
      connection: spec.connection,
      outbound: this.outbound,
      owned: wishes.owned,
      remember: wishes.remember,
      logTopics: this.logTopics(spec),
      neighbours: this.neighbours(spec),
      sharers: this.sharers(spec),
      abandoned: wishes.abandoned,
      reached: wishes.reached,
      setAside: wishes.setAside,
      orders: wishes.orders,
      share: wishes.share,
      onLostPosition: wishes.onLostPosition,
      clock: systemClock,
      log: this.log,
      step: this.step,
    });
    return discretionOf(spec.connection, spec.config).source(source);
  }

  /** For a look: preflight, lag, giving back. Closed when `use` is done. */
  async look<T>(spec: Looked, use: (source: Source) => Promise<T>, reached?: () => Promise<Positions>): Promise<T> {
    const source = this.owned(spec, { owned: spec.owned, onLostPosition: null, reached, ...barred });
    try {
      return await use(source);
    } finally {
      await source.close();
    }
  }

  private logTopics({ id, output }: Looked): (() => Promise<LogTopics | null>) | undefined {
    const { around } = this;
    if (around === undefined || output === undefined) return undefined;
    return async () => (await around.logs.of(output).topics?.(id)) ?? null;
  }

  private neighbours({ id, workspaceId, pipeline }: Looked): Neighbours | undefined {
    return workspaceId === undefined ? undefined : this.around?.neighbourhood.of({ id, workspaceId, pipeline });
  }

  private sharers(spec: Looked): (() => Promise<readonly Sharer[]>) | undefined {
    const { around } = this;
    return around && (() => around.sharers(spec));
  }
}
