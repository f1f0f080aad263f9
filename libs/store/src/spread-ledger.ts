import type { Held, HelperReport, HelperRow, HelperView, SpreadLedger } from '@planasonix/core';
import type { DataSource } from 'typeorm';
import { isHeld, lasts, LEASE_INTERVAL } from './lease.js';
import { sql } from './sql.js';

const LIVE = isHeld('h.expires_at');

/** Running streams of others ($1 is the worker) that have more shares than readers, as `s`. */
const OPENINGS = `streams s CROSS JOIN LATERAL
    (SELECT count(*)::int AS live, coalesce(bool_or(h.worker_id = $1), false) AS mine FROM stream_helpers h WHERE h.stream_id = s.id AND ${LIVE}) n
  WHERE s.shares > n.live + 1 AND NOT n.mine AND s.status = 'running' AND s.desired_status = 'running' AND s.deleting_at IS NULL
    AND s.lease_owner <> $1 AND ${isHeld('s.lease_expires_at')}`;

const sequenceOf = (row: 'h' | 'r'): string => `coalesce((${row}.report->'counters'->>'sequence')::bigint, -1)`;

/** Who helps whom. What a seat is worth is said by its stream's epoch: a seat of an older one is none (Invariant 3). */
export class PgSpreadLedger implements SpreadLedger {
  constructor(
    private readonly store: DataSource,
    /** Connections for keeping rows alive, so that this waits for no other query's. */
    private readonly leases: DataSource = store,
  ) {}

  async helpers(workerId: string): Promise<ReadonlyMap<string, readonly HelperRow[]>> {
    const rows = await sql<Row>(
      this.store,
      `SELECT h.stream_id, h.worker_id, h.share, h.session, h.report, h.epoch = s.epoch AS current
       FROM stream_helpers h JOIN streams s ON s.id = h.stream_id WHERE s.lease_owner = $1 AND h.worker_id <> $1 AND ${LIVE} ORDER BY h.joined_at, h.worker_id`,
      [workerId],
    );
    const found = new Map<string, HelperRow[]>();
    for (const { stream_id: id, worker_id: workerId, share: index, session, report, current } of rows) {
      const seat = current === true && index !== null && session !== null ? { index, session } : null;
      found.set(id, [...(found.get(id) ?? []), { workerId, seat, report }]);
    }
    return found;
  }

  async seat(lead: Held, session: string, workers: readonly string[]): Promise<boolean> {
    const rows = await sql(
      this.store,
      `WITH lead AS (SELECT id, epoch FROM streams WHERE id = $1 AND epoch = $2 FOR SHARE),
       gone AS (DELETE FROM stream_helpers h USING lead WHERE h.stream_id = lead.id AND NOT ${LIVE}),
       seats AS (UPDATE stream_helpers h SET epoch = lead.epoch, share = array_position($4::text[], h.worker_id), shares = cardinality($4::text[]) + 1,
           session = $3, report = NULL FROM lead WHERE h.stream_id = lead.id AND ${LIVE})
       SELECT 1 FROM lead`,
      [lead.streamId, lead.epoch, session, workers],
    );
    return rows.length > 0;
  }

  async openings(workerId: string, sourceType: string, limit: number): Promise<readonly string[]> {
    const rows = await sql<{ id: string }>(
      this.store,
      `SELECT s.id FROM ${OPENINGS} AND s.source_type = $2 ORDER BY n.live, s.id LIMIT $3`,
      [workerId, sourceType, limit],
    );
    return rows.map((row) => row.id);
  }

  async join(workerId: string, streamId: string): Promise<boolean> {
    const rows = await sql(
      this.store,
      `INSERT INTO stream_helpers (stream_id, worker_id, expires_at)
       SELECT s.id, $1, clock_timestamp() + ${LEASE_INTERVAL} FROM ${OPENINGS} AND s.id = $2
       ON CONFLICT (stream_id, worker_id) DO UPDATE SET joined_at = excluded.joined_at, expires_at = excluded.expires_at,
         epoch = NULL, share = NULL, shares = NULL, session = NULL, report = NULL RETURNING 1`,
      [workerId, streamId],
    );
    return rows.length > 0;
  }

  async keep(
    workerId: string,
    reports: ReadonlyMap<string, HelperReport | null>,
  ): Promise<ReadonlyMap<string, HelperView>> {
    const texts = [...reports.values()].map((report) => (report === null ? null : JSON.stringify(report)));
    const rows = await sql<Kept>(
      this.leases,
      // Several are under way at a time: one of an earlier seat, or older than what is known, may come last.
      `UPDATE stream_helpers h SET expires_at = clock_timestamp() + ${LEASE_INTERVAL},
         report = CASE WHEN r.report->>'session' = h.session AND ${sequenceOf('r')} >= ${sequenceOf('h')} THEN r.report ELSE h.report END
       FROM unnest($2::text[], $3::text[]::jsonb[]) AS r(stream_id, report), streams s
       WHERE h.stream_id = r.stream_id AND h.worker_id = $1 AND ${lasts('h.expires_at')} AND s.id = h.stream_id
         AND s.status = 'running' AND s.desired_status = 'running'
       RETURNING h.stream_id, s.epoch, h.epoch = s.epoch AS current, h.share, h.shares, h.session`,
      [workerId, [...reports.keys()], texts],
    );
    return new Map(rows.map((row) => [row.stream_id, viewOf(row)]));
  }

  async leave(workerId: string, streamId: string): Promise<void> {
    await sql(this.store, `DELETE FROM stream_helpers WHERE stream_id = $1 AND worker_id = $2`, [streamId, workerId]);
  }
}

interface Row {
  readonly stream_id: string;
  readonly worker_id: string;
  readonly share: number | null;
  readonly session: string | null;
  readonly report: HelperReport | null;
  readonly current: boolean | null;
}

interface Kept {
  readonly stream_id: string;
  readonly epoch: number;
  readonly current: boolean | null;
  readonly share: number | null;
  readonly shares: number | null;
  readonly session: string | null;
}

const viewOf = ({ epoch, current, share: index, shares: of, session }: Kept): HelperView => ({
  epoch,
  seated:
    current === true && index !== null && of !== null && session !== null ? { share: { index, of }, session } : null,
});
