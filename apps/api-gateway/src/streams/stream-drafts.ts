import type { ConnectionStore, PipelineStore, SplitConfig } from '@planasonix/store';
import { badField } from '../contract/api-error.js';
import { canonicalConfig, checkedConfig, mergePatch } from '../sources/config.js';
import type { KnownSource, SourceCatalog } from '../sources/source-catalog.js';
import type { WorkerQuestions } from '../sources/worker-questions.js';
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
  ) {}

  /** @throws ApiError 400 for whatever does not fit. */
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
    await this.workers.expectTables(workspaceId, source.type, { connectionId, config, output: pipeline.output });
    return { ...split, ingestToken: takesDeliveries(source) ? newIngestToken() : null };
  }

  /** @param earlier the config before, secrets in the clear. */
  async forPatch(
    workspaceId: string,
    of: Readonly<Record<'id' | 'source_type' | 'pipeline_id', string>> & { readonly connection_id: string | null },
    earlier: Json,
    patch: Json,
  ): Promise<SplitConfig> {
    const source = await this.catalog.get(of.source_type);
    const config = mergePatch(earlier, canonicalConfig(source, patch));
    const split = checkedConfig(source, config, earlier);
    const output = (await this.pipelines.get(workspaceId, of.pipeline_id))?.output;
    const { id: streamId, connection_id: connectionId } = of;
    await this.workers.expectTables(workspaceId, source.type, { connectionId, config, output, streamId });
    return split;
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
