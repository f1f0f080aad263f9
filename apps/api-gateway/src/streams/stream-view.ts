import { visiblePosition, type Stream } from '@planasonix/store';

const brief = (row: Stream) => ({
  name: row.name,
  source_type: row.source_type,
  pipeline_id: row.pipeline_id,
  connection_id: row.connection_id,
  status: row.status,
  desired_status: row.desired_status,
  last_error: lastError(row),
  blocked: row.blocked,
  created_at: row.created_at.toISOString(),
  updated_at: row.updated_at.toISOString(),
});

const lastError = ({ last_error: error }: Stream) =>
  error === null
    ? null
    : { code: error.code, message: error.message, hint: error.hint ?? null, occurred_at: error.occurred_at };

/** A row of the list. */
export const listed = (row: Stream) => ({ id: row.id, type: 'stream', attributes: brief(row) });

/** The whole stream. `config` is stored with its secrets masked. @param ingestBase where deliveries go. */
export function shown(row: Stream, positions: ReadonlyMap<string, string>, ingestBase: string) {
  const { created_at, updated_at, ...rest } = brief(row);
  return {
    data: {
      id: row.id,
      type: 'stream',
      attributes: {
        ...rest,
        config: row.config,
        position: visiblePosition(positions),
        snapshot: row.snapshot,
        ...(row.ingest_token === null ? {} : { ingest_url: `${ingestBase}/ingest/${row.ingest_token}` }),
        created_at,
        updated_at,
      },
    },
  };
}

export const commanded = (id: string, status: string, updatedAt: Date) => ({
  data: { id, type: 'stream', attributes: { status, updated_at: updatedAt.toISOString() } },
});
