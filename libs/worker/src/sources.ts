import {
  NO_ORDERS,
  StreamError,
  systemClock,
  type Log,
  type OnLostPosition,
  type Outbound,
  type Owned,
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

export interface SourceWishes {
  readonly owned: Owned;
  readonly onLostPosition: OnLostPosition | null;
  readonly remember: (owned: Owned) => Promise<void>;
  readonly abandoned?: () => Promise<Positions>;
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

/** Makes sources of one type from what the store says of a stream. */
export class Sources {
  constructor(
    readonly type: SourceType,
    readonly outbound: Outbound,
    private readonly log: Log,
    private readonly step?: Steps,
  ) {}

  /** For the owner of the stream. @throws StreamError `secrets_sealed`, or what its config is refused for */
  owned(spec: StreamSpec, wishes: SourceWishes): Source {
    if (spec.sealed !== undefined) throw new StreamError('secrets_sealed', spec.sealed);
    const source = this.type.create({
      streamId: spec.id,
      streamName: spec.name,
      config: spec.config,
      connection: spec.connection,
      outbound: this.outbound,
      owned: wishes.owned,
      remember: wishes.remember,
      abandoned: wishes.abandoned,
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
  async look<T>(
    spec: Pick<StreamSpec, 'id' | 'name' | 'config' | 'connection' | 'sealed' | 'owned'>,
    use: (source: Source) => Promise<T>,
  ): Promise<T> {
    const source = this.owned({ ...spec } as StreamSpec, { owned: spec.owned, onLostPosition: null, ...barred });
    try {
      return await use(source);
    } finally {
      await source.close();
    }
  }
}
