import { randomUUID } from 'node:crypto';
import type {
  Held,
  LastError,
  LeaseView,
  OnLostPosition,
  Owned,
  PipelineOutput,
  Positions,
  SetAside,
  SnapshotOrder,
  StatusReport,
  StreamLedger,
  StreamSpec,
} from '@planasonix/core';
import { losesPosition, STREAM_ERRORS, type DesiredStatus, type StreamStatus } from '@planasonix/core';
import type { DataSource } from 'typeorm';
import type { Connection, Stream } from './entities.js';
import { isHeld, LEASE_INTERVAL } from './lease.js';
import { unsealed } from './secrets.js';
import type { SecretBox } from './secret-box.js';
import { sql } from './sql.js';
import { BEING_DELETED } from './stream-commands.js';
import { streamSecretPlace } from './stream-store.js';

/** Nobody deletes it, and nobody holds it. */
const FREE = `NOT ${BEING_DELETED} AND (lease_owner IS NULL OR NOT ${isHeld('lease_expires_at')})`;

/** Also a stop that was accepted and that nobody has carried out: whoever was to do it is gone (Invariant 7). */
const DUE = `(desired_status IN ('running', 'paused') AND status <> 'error' OR desired_status = 'stopped' AND observed_generation < generation)
  AND ${FREE}`;

const RESTING = `status IN ('stopped', 'error') AND ${FREE}`;
/** Progress that was last told as running, where nothing is left to be read: it counts what was told, and names what was told to be over. */
const OVER = `snapshot || jsonb_build_object('state', 'done', 'tables_done', snapshot -> 'tables_total', 'rows_estimated', snapshot -> 'rows_done',
  'tables', (SELECT coalesce(jsonb_agg(t ORDER BY n) FILTER (WHERE t ->> 'state' NOT IN ('running', 'waiting')), '[]')
    FROM jsonb_array_elements(coalesce(snapshot -> 'tables', '[]')) WITH ORDINALITY AS told(t, n)))`;
/** Records of a stream that were set aside, the newest. */
const KEPT_ASIDE = 10_000;
/** The end of the year 9999: beyond it nothing can be told, and Postgres knows no moment at some time. */
const LAST_MS = 253_402_300_799_999;
/** Long enough to give something up at a source; it is not renewed. Not above what `isHeld` takes for a lease. */
const CONDEMNED = `interval '15 seconds'`;

/**
 * Id ($1) and epoch ($2) of a stream, for whoever holds it or helps whoever does: then his seat is in the parameters from `at`
 * on. Locked for the length of the statement, so that whatever takes it away comes before or after it, never within.
 */
const ownerOf = ({ seat }: Held, at: number): string =>
  seat === undefined
    ? `SELECT id, epoch FROM streams WHERE id = $1 AND epoch = $2 FOR SHARE`
    : `SELECT s.id, s.epoch FROM streams s JOIN stream_helpers h ON h.stream_id = s.id AND h.epoch = s.epoch
       WHERE s.id = $1 AND s.epoch = $2 AND h.share = $${at} AND h.session = $${at + 1} AND ${isHeld('h.expires_at')} FOR SHARE`;

const seatOf = ({ seat }: Held): readonly (number | string)[] => (seat === undefined ? [] : [seat.index, seat.session]);

/** What a row says whose place is lost: the first of these stays, the way on is the same. */
const LOST = Object.keys(STREAM_ERRORS).filter(losesPosition);

/** The truth about streams, from a worker's side. Every write names the epoch (Invariant 3). */
export class PgStreamLedger implements StreamLedger {
  /** Names its commits of positions, which have numbers. */
  private readonly writer = randomUUID();
  private commits = 0;

  constructor(
    private readonly store: DataSource,
    private readonly box: SecretBox,
    /** Connections for renewing leases, so that these wait for no other query's. */
    private readonly leases: DataSource = store,
  ) {}

  async claim(workerId: string, streamId: string): Promise<StreamSpec | null> {
    const [row] = await sql<Stream>(
      this.store,
      `UPDATE streams SET lease_owner = $1, lease_expires_at = clock_timestamp() + ${LEASE_INTERVAL}, epoch = epoch + 1 WHERE id = $2 AND ${DUE} RETURNING *`,
      [workerId, streamId],
    );
    return row === undefined ? null : this.specOf(row);
  }

  async orphans(sourceType: string, limit: number): Promise<readonly string[]> {
    const rows = await sql<{ id: string }>(
      this.store,
      `SELECT id FROM streams WHERE source_type = $1 AND ${DUE} ORDER BY coalesce(lease_expires_at, updated_at) LIMIT $2`,
      [sourceType, limit],
    );
    return rows.map((row) => row.id);
  }

  async renew(workerId: string, held: readonly Held[]): Promise<ReadonlyMap<string, LeaseView | 'busy'>> {
    if (held.length === 0) return new Map();
    const alone = held.length === 1;
    const mine = `streams s JOIN unnest($2::text[], $3::int[]) AS h(id, epoch) ON s.id = h.id AND s.epoch = h.epoch WHERE s.lease_owner = $1`;
    const rows = await sql<Renewed>(
      alone ? this.store : this.leases,
      `WITH free AS (SELECT s.id FROM ${mine} FOR NO KEY UPDATE OF s ${alone ? '' : 'SKIP LOCKED'}),
       renewed AS (UPDATE streams s SET lease_expires_at = clock_timestamp() + ${LEASE_INTERVAL} FROM free WHERE s.id = free.id
         RETURNING s.id, s.generation, s.desired_status, s.orders_revision, s.config_revision)
       SELECT id, generation, desired_status, orders_revision, config_revision FROM renewed
       UNION ALL SELECT s.id, NULL, NULL, NULL, NULL FROM ${mine} AND NOT $4 AND s.id NOT IN (SELECT id FROM renewed)`,
      [workerId, held.map((one) => one.streamId), held.map((one) => one.epoch), alone],
    );
    return new Map(rows.map((row) => [row.id, viewOf(row)]));
  }

  async report(held: Held, report: StatusReport, generation?: number): Promise<'written' | 'superseded' | 'fenced'> {
    const release = report.releaseLease === true;
    const rows = await sql(
      this.store,
      `UPDATE streams SET
         status = coalesce($4, status),
         observed_generation = CASE WHEN $4::text IS NULL OR $3::int IS NULL THEN observed_generation ELSE generation END,
         last_error = CASE WHEN $5 THEN $6::jsonb ELSE last_error END,
         blocked = CASE WHEN $7 THEN $8::jsonb ELSE blocked END,
         snapshot = CASE WHEN $9 = 'told' THEN $10::jsonb WHEN $9 = 'over' AND snapshot ->> 'state' = 'running' THEN ${OVER} ELSE snapshot END,
         on_lost_position = CASE WHEN $11 THEN NULL ELSE on_lost_position END,
         shares = coalesce($13, shares),
         lease_owner = CASE WHEN $12 THEN NULL ELSE lease_owner END,
         lease_expires_at = CASE WHEN $12 THEN NULL ELSE lease_expires_at END,
         desired_status = CASE WHEN $4 = 'stopped' THEN 'stopped' ELSE desired_status END,
         updated_at = CASE WHEN $4 IS DISTINCT FROM status AND $4 IS NOT NULL THEN clock_timestamp() ELSE updated_at END
       WHERE id = $1 AND epoch = $2 AND ($3::int IS NULL OR generation = $3) RETURNING 1`,
      [
        held.streamId,
        held.epoch,
        generation ?? null,
        report.status ?? null,
        report.lastError !== undefined,
        json(report.lastError),
        report.blocked !== undefined,
        json(report.blocked),
        report.snapshot === undefined ? null : report.snapshot === 'over' ? 'over' : 'told',
        report.snapshot === 'over' ? null : json(report.snapshot),
        report.clearOnLostPosition === true,
        release,
        report.shares ?? null,
      ],
    );
    if (rows.length > 0) return 'written';
    const [row] = await sql(this.store, `SELECT 1 FROM streams WHERE id = $1 AND epoch = $2`, [
      held.streamId,
      held.epoch,
    ]);
    return row === undefined ? 'fenced' : 'superseded';
  }

  async positions(streamId: string): Promise<Positions> {
    const rows = await sql<{ partition: string; position: string }>(
      this.store,
      `SELECT partition, position FROM stream_positions WHERE stream_id = $1`,
      [streamId],
    );
    return new Map(rows.map((row) => [row.partition, row.position]));
  }

  async commitPositions(held: Held, positions: Positions): Promise<boolean> {
    if (positions.size === 0) return true;
    const rows = await sql(
      this.store,
      `WITH owner AS (${ownerOf(held, 7)}),
       committed AS (INSERT INTO stream_positions AS kept (stream_id, partition, position, epoch, writer, number)
         SELECT owner.id, p.partition, p.position, owner.epoch, $5, $6
         FROM owner, unnest($3::text[], $4::text[]) AS p(partition, position)
         ON CONFLICT (stream_id, partition) DO UPDATE SET position = excluded.position, epoch = excluded.epoch,
           writer = excluded.writer, number = excluded.number, updated_at = clock_timestamp()
         WHERE kept.writer IS DISTINCT FROM excluded.writer OR kept.number < excluded.number)
       SELECT 1 FROM owner`,
      [
        ...[held.streamId, held.epoch, [...positions.keys()], [...positions.values()]],
        // One that was given up may be carried out behind a later one, over another connection: it changes nothing then.
        ...[this.writer, ++this.commits, ...seatOf(held)],
      ],
    );
    return rows.length > 0;
  }

  async remember(held: Held, owned: Owned): Promise<boolean> {
    const rows = await sql(
      this.store,
      `WITH owner AS (${ownerOf(held, 4)}) UPDATE streams s SET owned = $3 FROM owner WHERE s.id = owner.id AND s.epoch = owner.epoch RETURNING 1`,
      [held.streamId, held.epoch, JSON.stringify(owned), ...seatOf(held)],
    );
    return rows.length > 0;
  }

  async setAside(held: Held, records: readonly SetAside[]): Promise<number | null> {
    const [row] = await sql<{ fresh: number }>(
      this.store,
      `WITH owner AS (${ownerOf(held, 7)}),
       kept AS (INSERT INTO set_aside (stream_id, record_id, place, reason, record_at)
         SELECT owner.id, r.id, r.place, r.reason, CASE WHEN r.ms >= 0 THEN to_timestamp(least(r.ms, ${LAST_MS}) / 1000) END
         FROM owner, unnest($3::text[], $4::text[], $5::text[], $6::float8[]) AS r(id, place, reason, ms)
         ON CONFLICT DO NOTHING RETURNING 1)
       SELECT (SELECT count(*) FROM kept)::int AS fresh FROM owner`,
      [
        ...[held.streamId, held.epoch, records.map(({ id }) => id), records.map(({ place }) => place)],
        ...[records.map(({ reason }) => reason), records.map(({ timeMs }) => timeMs), ...seatOf(held)],
      ],
    );
    if (row !== undefined && row.fresh > 0)
      // Invariant 6: the newest are kept.
      await sql(
        this.store,
        `DELETE FROM set_aside WHERE stream_id = $1 AND seq <= (SELECT seq FROM set_aside WHERE stream_id = $1 ORDER BY seq DESC OFFSET $2 LIMIT 1)`,
        [held.streamId, KEPT_ASIDE],
      );
    return row?.fresh ?? null;
  }

  async openOrders(streamId: string): Promise<readonly SnapshotOrder[]> {
    const rows = await sql<OrderRow>(
      this.store,
      `SELECT id, tables, where_sql FROM snapshot_orders WHERE stream_id = $1 AND done_at IS NULL AND cancelled_at IS NULL ORDER BY id`,
      [streamId],
    );
    return rows.map(orderOf);
  }

  async doneOrders(streamId: string): Promise<readonly SnapshotOrder[]> {
    const rows = await sql<OrderRow>(
      this.store,
      `SELECT id, tables, where_sql FROM snapshot_orders
       WHERE stream_id = $1 AND done_at IS NOT NULL AND failed IS NULL ORDER BY done_at DESC, id DESC LIMIT 100`,
      [streamId],
    );
    return rows.map(orderOf);
  }

  async closeOrder(held: Held, id: string, { failed }: { readonly failed: string | null }): Promise<boolean> {
    // The row is locked as for positions. An order that is closed already, or was cancelled, stays as it is.
    const rows = await sql(
      this.store,
      `WITH owner AS (${ownerOf(held, 5)}),
       closed AS (UPDATE snapshot_orders o SET done_at = clock_timestamp(), failed = $4 FROM owner
         WHERE o.stream_id = owner.id AND o.id = $3 AND o.done_at IS NULL AND o.cancelled_at IS NULL)
       SELECT 1 FROM owner`,
      [held.streamId, held.epoch, id, failed, ...seatOf(held)],
    );
    return rows.length > 0;
  }

  async spec(streamId: string): Promise<StreamSpec | null> {
    const [row] = await sql<Stream>(this.store, `SELECT * FROM streams WHERE id = $1`, [streamId]);
    return row === undefined ? null : this.specOf(row);
  }

  /**
   * Takes the lease of a stream that nobody reads, to give up what it holds at its source, and says why in the same
   * statement: from here on a start has to say what becomes of the position. `null`: it was started, or somebody else
   * is at it (Invariant 3).
   * @param of as the stream was when it was judged
   * @param again also where the row says that its place is lost already: something was left to be given up
   */
  async condemn(
    workerId: string,
    of: Pick<StreamSpec, 'id' | 'generation' | 'epoch'>,
    why: LastError,
    again = true,
  ): Promise<Held | null> {
    const rows = await sql<{ epoch: number }>(
      this.store,
      `UPDATE streams SET epoch = epoch + 1, lease_owner = $1, lease_expires_at = clock_timestamp() + ${CONDEMNED}, status = 'error', blocked = NULL,
         last_error = CASE WHEN status = 'error' AND last_error ->> 'code' = $5::jsonb ->> 'code' THEN last_error ELSE $5::jsonb END,
         updated_at = CASE WHEN status = 'error' THEN updated_at ELSE clock_timestamp() END
       WHERE id = $2 AND generation = $3 AND epoch = $4 AND ${RESTING} AND NOT position_pending
         AND NOT (status = 'error' AND last_error ->> 'code' = ANY ($6::text[])) RETURNING epoch`,
      [workerId, of.id, of.generation, of.epoch, JSON.stringify(why), again ? [] : LOST],
    );
    const [row] = rows;
    return row === undefined ? null : { streamId: of.id, epoch: row.epoch };
  }

  /** Streams of a type that nobody reads and that hold something at their source: their lag grows all the same. */
  async resting(sourceType: string): Promise<readonly string[]> {
    const rows = await sql<{ id: string }>(
      this.store,
      `SELECT id FROM streams s WHERE source_type = $1 AND ${RESTING}
         AND (owned <> '{}' OR EXISTS (SELECT 1 FROM stream_positions p WHERE p.stream_id = s.id)) ORDER BY id`,
      [sourceType],
    );
    return rows.map((row) => row.id);
  }

  /** The number of the next report on a stream that nobody reads: grows whoever asks, and whatever clocks do. */
  async probeNumber(): Promise<number> {
    const [row] = await sql<{ n: string }>(this.store, `SELECT nextval('probe_numbers') AS n`);
    return Number(row!.n);
  }

  private async specOf(row: Stream): Promise<StreamSpec> {
    const [pipeline] = await sql<{ output: PipelineOutput }>(this.store, `SELECT output FROM pipelines WHERE id = $1`, [
      row.pipeline_id,
    ]);
    const [connection] =
      row.connection_id === null
        ? []
        : await sql<Connection>(this.store, `SELECT * FROM connections WHERE id = $1`, [row.connection_id]);
    const { config, sealed } = unsealed(this.box, row.config, row.secrets, streamSecretPlace(row.id));
    const reached =
      connection && unsealed(this.box, connection.config, connection.secrets, `connections:${connection.id}`);
    return {
      id: row.id,
      workspaceId: row.workspace_id,
      name: row.name,
      sourceType: row.source_type,
      config,
      connection: connection && reached ? { id: connection.id, type: connection.type, config: reached.config } : null,
      sealed: sealed ?? reached?.sealed ?? undefined,
      configRevision: row.config_revision,
      output: pipeline!.output,
      status: row.status as StreamStatus,
      desired: row.desired_status as DesiredStatus,
      generation: row.generation,
      epoch: row.epoch,
      owned: row.owned,
      onLostPosition: row.on_lost_position as OnLostPosition | null,
      givenUpAt: row.given_up_at,
    };
  }
}

interface OrderRow {
  readonly id: string;
  readonly tables: string[];
  readonly where_sql: string | null;
}

const orderOf = ({ id, tables, where_sql: where }: OrderRow): SnapshotOrder => ({ id, tables, where });

interface Renewed {
  readonly id: string;
  /** `null`: somebody else has the row locked. */
  readonly generation: number | null;
  readonly desired_status: DesiredStatus;
  readonly orders_revision: number;
  readonly config_revision: number;
}

const viewOf = ({
  generation,
  desired_status: desired,
  orders_revision: ordersRevision,
  config_revision: configRevision,
}: Renewed): LeaseView | 'busy' =>
  generation === null ? 'busy' : { generation, desired, ordersRevision, configRevision };

const json = (value: unknown): string | null => (value === undefined || value === null ? null : JSON.stringify(value));
