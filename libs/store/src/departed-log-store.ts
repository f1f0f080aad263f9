import type { PipelineOutput } from '@planasonix/core';
import type { DataSource, EntityManager } from 'typeorm';
import { sql } from './sql.js';

/** The log of a stream that is gone. */
export interface DepartedLog {
  readonly streamId: string;
  readonly output: PipelineOutput;
  /** Bars every lower one. */
  readonly epoch: number;
  /** How long it is still to be read; 0: no longer. */
  readonly seconds: number;
}

/** Long enough for whoever deletes the stream to do it himself. */
const PUT_OFF = `interval '30 seconds'`;

/** To be written with the removal of the stream, so that its log is not forgotten whoever dies then. */
export const depart = (tx: EntityManager, of: DepartedLog): Promise<unknown> =>
  sql(
    tx,
    `INSERT INTO departed_logs (stream_id, output, epoch, expires_at, next_try_at)
     VALUES ($1, $2, $3, clock_timestamp() + make_interval(secs => $4), clock_timestamp() + ${PUT_OFF})`,
    [of.streamId, JSON.stringify(of.output), of.epoch, of.seconds],
  );

/** Logs whose streams are gone and that have yet to be told when they expire. */
export class DepartedLogStore {
  constructor(private readonly store: DataSource) {}

  /** One that is due, put off for everybody else in the same statement. */
  async due(): Promise<DepartedLog | null> {
    const [row] = await sql<{ stream_id: string; output: PipelineOutput; epoch: number; seconds: number }>(
      this.store,
      `UPDATE departed_logs SET next_try_at = clock_timestamp() + ${PUT_OFF}
       WHERE stream_id = (SELECT stream_id FROM departed_logs WHERE next_try_at <= clock_timestamp() ORDER BY next_try_at LIMIT 1 FOR UPDATE SKIP LOCKED)
       RETURNING stream_id, output, epoch, greatest(0, ceil(extract(epoch FROM expires_at - clock_timestamp())))::int AS seconds`,
    );
    return row === undefined
      ? null
      : { streamId: row.stream_id, output: row.output, epoch: row.epoch, seconds: row.seconds };
  }

  async done(streamId: string): Promise<void> {
    await sql(this.store, `DELETE FROM departed_logs WHERE stream_id = $1`, [streamId]);
  }
}
