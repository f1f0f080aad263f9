import type { ConnectionStore, Pipeline, PipelineStore, SplitConfig, Stream, StreamStore } from '@planasonix/store';
import { badField } from '../contract/api-error.js';
import { canonicalConfig, checkedConfig, mergePatch } from '../sources/config.js';
import type { KnownSource, SourceCatalog } from '../sources/source-catalog.js';
import type { WorkerQuestions } from '../sources/worker-questions.js';
import { expectExclusive } from './exclusive-config.js';
import { newIngestToken, takesDeliveries } from './ingest-token.js';

type Json = Record<string, unknown>;

export interface Wanted {
  readonly sourceType: string;
  readonly pipelineId: string;
  readonly connectionId?: string | undefined;
  readonly config?: Json | undefined;
}

export interface Drafted extends SplitConfig {
  /** For a stream that has an address of its own. */
  readonly ingestToken: string | null;
}

/** What a stream may be made of: everything it names is there, in the same workspace, and fits together. */
export class StreamDrafts {
  constructor(
    private readonly catalog: SourceCatalog,
    private readonly pipelines: Pick<PipelineStore, 'get'>,
    private readonly connections: Pick<ConnectionStore, 'get'>,
    private readonly workers: WorkerQuestions,
    private readonly streams: Pick<StreamStore, 'named'>,
  ) {}

  /** @throws ApiError 400 for whatever does not fit; 409 for what another stream has. */
  async forCreate(workspaceId: string, of: Wanted): Promise<Drafted> {
    const source = await this.catalog.get(of.sourceType);
    const connectionId = of.connectionId ?? null;
    const [pipeline] = await Promise.all([
      this.pipelines.get(workspaceId, of.pipelineId),
      this.checkConnection(workspaceId, source, connectionId),
    ]);
    // Unknown and foreign are one answer: ids of other workspaces can't be guessed at.
    if (pipeline === null)
      throw badField('pipeline_id', 'is not a pipeline of this workspace', 'GET /api/pipelines lists them.');
    const config = canonicalConfig(source, of.config ?? {});
    const split = checkedConfig(source, config);
    await expectExclusive(this.streams, workspaceId, source, { id: null, connectionId, config });
    await this.workers.expectTables(workspaceId, source.type, { connectionId, config, pipeline });
    return { ...split, ingestToken: takesDeliveries(source) ? newIngestToken() : null };
  }

  /** @param earlier the config before, secrets in the clear. */
  async forPatch(
    workspaceId: string,
    of: Pick<Stream, 'id' | 'source_type' | 'connection_id' | 'pipeline_id'>,
    earlier: Json,
    patch: Json,
  ): Promise<SplitConfig> {
    const source = await this.catalog.get(of.source_type);
    const config = mergePatch(earlier, canonicalConfig(source, patch));
    const split = checkedConfig(source, config, earlier);
    const { id, connection_id: connectionId } = of;
    await expectExclusive(this.streams, workspaceId, source, { id, connectionId, config, earlier });
    const pipeline = (await this.pipelines.get(workspaceId, of.pipeline_id)) ?? undefined;
    await this.workers.expectTables(workspaceId, source.type, {
      ...{ streamId: id, connectionId, config, pipeline },
    });
    return split;
  }

  /**
   * Whether the streams that feed a pipeline may write to where it is to lead.
   * @param streams with their configs, secrets in the clear
   * @throws ApiError 400 that names the first one that would read what it writes
   */
  async forOutput(
    workspaceId: string,
    pipeline: Pick<Pipeline, 'id' | 'output'>,
    streams: readonly Pick<Stream, 'id' | 'name' | 'source_type' | 'connection_id' | 'config'>[],
  ): Promise<void> {
    const types = await this.catalog.all();
    const readers = streams.filter(({ source_type: type }) => types.get(type)?.connection_types.includes('kafka'));
    await Promise.all(
      readers.map(({ id: streamId, name, source_type: type, connection_id: connectionId, config }) =>
        this.workers.expectOutput(workspaceId, type, name, { streamId, connectionId, config, pipeline }),
      ),
    );
  }

  private async checkConnection(workspaceId: string, source: KnownSource, id: string | null): Promise<void> {
    const { type, connection_types: types } = source;
    if (types.length === 0) {
      if (id !== null) throw badField('connection_id', `is not used by ${type}`, 'Leave it out.');
      return;
    }
    if (id === null)
      throw badField('connection_id', 'is required', `${type} reads from a connection of type ${types.join(' or ')}.`);
    const connection = await this.connections.get(workspaceId, id);
    if (connection === null)
      throw badField('connection_id', 'is not a connection of this workspace', 'GET /api/connections lists them.');
    if (!types.includes(connection.type))
      throw badField(
        'connection_id',
        `is of type ${connection.type}`,
        `${type} reads from a connection of type ${types.join(' or ')}.`,
      );
  }
}
