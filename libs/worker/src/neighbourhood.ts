import { StreamError, type Neighbour, type Neighbours, type PipelineOutput } from '@planasonix/core';
import { topicNames } from '@planasonix/sinks';
import type { ConnectionStore, NeighbourRow, NeighbourStore } from '@planasonix/store';

/** Whose neighbours. */
export interface Neighboured {
  readonly id: string;
  readonly workspaceId: string;
  /** Of a draft: with this output it is judged as if all of them ran. */
  readonly pipeline?: { readonly id: string; readonly output: PipelineOutput };
}

/** What the store knows of the streams beside a stream. */
export class Neighbourhood {
  constructor(
    private readonly sourceType: string,
    private readonly rows: Pick<NeighbourStore, 'of'>,
    private readonly connections: Pick<ConnectionStore, 'settingsOf'>,
  ) {}

  of({ id, workspaceId, pipeline }: Neighboured): Neighbours {
    return {
      all: async () => {
        const rows = await this.rows.of(workspaceId, this.sourceType, id).catch((error: unknown) => {
          throw new StreamError('store_unavailable', 'The other streams could not be looked at', { cause: error });
        });
        return rows.flatMap((row) => neighbourOf(row, pipeline));
      },
      settings: (connectionId) => this.connections.settingsOf(connectionId),
    };
  }
}

function neighbourOf(row: NeighbourRow, pipeline: Neighboured['pipeline']): Neighbour[] {
  const output = row.pipeline_id === pipeline?.id ? pipeline.output : row.output;
  if (output.type !== 'kafka') return [];
  const { id, name, config, connection_id: from } = row;
  const topics = topicNames(output.topic, id);
  return [{ name, config, from, into: output.connectionId, topics, runs: row.runs || pipeline !== undefined }];
}
