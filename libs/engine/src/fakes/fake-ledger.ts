import {
  StreamError,
  type Clock,
  type DesiredStatus,
  type Held,
  type LastError,
  type LeaseView,
  type Positions,
  type SetAside,
  type SnapshotOrder,
  type StatusReport,
  type StreamLedger,
  type StreamSpec,
} from '@planasonix/core';

export interface Row {
  status: StreamSpec['status'];
  desired: DesiredStatus;
  generation: number;
  observed: number;
  epoch: number;
  owner: string | null;
  leaseUntil: number;
  lastError: LastError | null;
  blocked: unknown;
  snapshot: unknown;
  shares: number;
  onLost: StreamSpec['onLostPosition'];
  givenUpAt: number;
  positions: Map<string, string>;
  aside: Map<string, SetAside>;
  ordersRevision: number;
  output: StreamSpec['output'];
  config: StreamSpec['config'];
  configRevision: number;
  /** Open ones go from here to `closed`. */
  orders: SnapshotOrder[];
  closed: { id: string; failed: string | null }[];
  /** Every status that was written, in order. */
  readonly history: string[];
}

/** The truth in memory, with a lease clock of its own (the database's). */
export class FakeLedger implements StreamLedger {
  readonly rows = new Map<string, Row>();
  down = false;
  writes = 0;
  /** How long the next renewals take to be answered, each from here in turn; then they fail, or answer late. Empty: at once. */
  readonly renewalsHang: number[] = [];
  answersLate = false;
  /** What becomes of the next commits on their way here, each of them in turn; then they arrive. */
  readonly commitsHeld: ((held: Held) => Promise<unknown>)[] = [];
  /** Rows that somebody else has locked. */
  readonly locked = new Set<string>();
  /** Whether a helper may write. */
  seatHolds: (held: Held) => boolean = () => true;

  constructor(
    private readonly clock: Clock,
    private readonly sourceType = 'fake',
  ) {}

  row(streamId: string): Row {
    return this.rows.get(streamId)!;
  }

  add(streamId: string, over: Partial<Row> = {}): Row {
    const row: Row = {
      status: 'starting',
      desired: 'running',
      generation: 1,
      observed: 0,
      epoch: 0,
      owner: null,
      leaseUntil: 0,
      lastError: null,
      blocked: null,
      snapshot: null,
      shares: 1,
      onLost: null,
      givenUpAt: 0,
      positions: new Map(),
      aside: new Map(),
      ordersRevision: 0,
      output: { type: 'redis_stream' },
      config: {},
      configRevision: 0,
      orders: [],
      closed: [],
      history: [],
      ...over,
    };
    this.rows.set(streamId, row);
    return row;
  }

  /** What the gateway does: one transaction. */
  command(streamId: string, desired: DesiredStatus): void {
    const row = this.row(streamId);
    row.desired = desired;
    row.generation++;
    if (desired === 'running' && row.status !== 'paused') row.status = 'starting';
  }

  /** What the gateway does when rows are asked for again. */
  order(streamId: string, id: string): void {
    const row = this.row(streamId);
    row.orders.push({ id, tables: ['t'], where: null });
    row.ordersRevision++;
  }

  /** What the gateway does when a config, or a connection, is changed. */
  configure(streamId: string, config: StreamSpec['config']): void {
    const row = this.row(streamId);
    row.config = config;
    row.configRevision++;
  }

  async claim(workerId: string, streamId: string): Promise<StreamSpec | null> {
    await this.#answer();
    const row = this.rows.get(streamId);
    if (!row || !this.#wanted(row)) return null;
    row.epoch++;
    row.owner = workerId;
    row.leaseUntil = this.clock.monotonic() + 9_000;
    return this.#specOf(streamId, row);
  }

  async spec(streamId: string): Promise<StreamSpec | null> {
    await this.#answer();
    const row = this.rows.get(streamId);
    return row ? this.#specOf(streamId, row) : null;
  }

  #specOf(streamId: string, row: Row): StreamSpec {
    return {
      id: streamId,
      workspaceId: 'w',
      name: streamId,
      sourceType: this.sourceType,
      config: row.config,
      connection: null,
      configRevision: row.configRevision,
      output: row.output,
      status: row.status,
      desired: row.desired,
      generation: row.generation,
      epoch: row.epoch,
      owned: {},
      onLostPosition: row.onLost,
      givenUpAt: row.givenUpAt,
    };
  }

  async orphans(_sourceType: string, limit: number): Promise<readonly string[]> {
    await this.#answer();
    return [...this.rows]
      .filter(([, row]) => this.#wanted(row))
      .map(([id]) => id)
      .slice(0, limit);
  }

  async renew(workerId: string, held: readonly Held[]): Promise<ReadonlyMap<string, LeaseView | 'busy'>> {
    await this.#answer();
    const hangs = this.renewalsHang.shift();
    if (hangs !== undefined) {
      await this.clock.sleep(hangs);
      if (!this.answersLate) throw new StreamError('store_unavailable', 'no answer');
    }
    const views = new Map<string, LeaseView | 'busy'>();
    if (held.length === 1) while (this.locked.has(held[0]!.streamId)) await this.clock.sleep(50);
    for (const one of held) {
      if (this.locked.has(one.streamId)) {
        views.set(one.streamId, 'busy');
        continue;
      }
      const row = this.rows.get(one.streamId);
      if (!row || row.epoch !== one.epoch || row.owner !== workerId || row.leaseUntil <= this.clock.monotonic())
        continue;
      row.leaseUntil = this.clock.monotonic() + 9_000;
      views.set(one.streamId, {
        generation: row.generation,
        desired: row.desired,
        ordersRevision: row.ordersRevision,
        configRevision: row.configRevision,
      });
    }
    return views;
  }

  async report(held: Held, report: StatusReport, generation?: number): Promise<'written' | 'superseded' | 'fenced'> {
    await this.#answer();
    const row = this.rows.get(held.streamId);
    if (!row || row.epoch !== held.epoch) return 'fenced';
    if (generation !== undefined && row.generation !== generation) return 'superseded';
    this.writes++;
    if (report.status) {
      row.status = report.status;
      row.history.push(report.status);
      if (report.status === 'stopped') row.desired = 'stopped';
      row.observed = generation ?? row.observed;
    }
    if (report.lastError !== undefined) row.lastError = report.lastError;
    if (report.blocked !== undefined) row.blocked = report.blocked;
    if (report.snapshot !== undefined) row.snapshot = report.snapshot;
    row.shares = report.shares ?? row.shares;
    if (report.clearOnLostPosition) row.onLost = null;
    if (report.releaseLease) {
      row.owner = null;
      row.leaseUntil = 0;
    }
    return 'written';
  }

  async positions(streamId: string): Promise<Positions> {
    await this.#answer();
    return new Map(this.row(streamId).positions);
  }

  async commitPositions(held: Held, positions: Positions): Promise<boolean> {
    await this.commitsHeld.shift()?.(held);
    await this.#answer();
    const row = this.rows.get(held.streamId);
    if (!row || row.epoch !== held.epoch || !this.seatHolds(held)) return false;
    this.writes++;
    for (const [partition, position] of positions) row.positions.set(partition, position);
    return true;
  }

  async remember(held: Held): Promise<boolean> {
    await this.#answer();
    return this.row(held.streamId).epoch === held.epoch;
  }

  async setAside(held: Held, records: readonly SetAside[]): Promise<number | null> {
    await this.#answer();
    const row = this.row(held.streamId);
    if (row.epoch !== held.epoch) return null;
    const fresh = records.filter(({ id }) => !row.aside.has(id));
    for (const record of fresh) row.aside.set(record.id, record);
    return fresh.length;
  }

  async openOrders(streamId: string): Promise<readonly SnapshotOrder[]> {
    await this.#answer();
    return [...this.row(streamId).orders];
  }

  async doneOrders(): Promise<readonly SnapshotOrder[]> {
    await this.#answer();
    return [];
  }

  async closeOrder(held: Held, id: string, { failed }: { readonly failed: string | null }): Promise<boolean> {
    await this.#answer();
    const row = this.row(held.streamId);
    if (row.epoch !== held.epoch) return false;
    const at = row.orders.findIndex((order) => order.id === id);
    if (at >= 0) {
      row.orders.splice(at, 1);
      row.closed.push({ id, failed });
    }
    return true;
  }

  async #answer(): Promise<void> {
    await Promise.resolve();
    if (this.down) throw new StreamError('store_unavailable', 'down');
  }

  #wanted(row: Row): boolean {
    return (
      (row.desired === 'stopped' ? row.observed < row.generation : row.desired !== 'idle' && row.status !== 'error') &&
      row.leaseUntil <= this.clock.monotonic()
    );
  }
}
