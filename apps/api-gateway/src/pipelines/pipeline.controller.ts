import { isDeepStrictEqual } from 'node:util';
import { Inject } from '@nestjs/common';
import { ConnectionStore, PipelineStore, StreamStore, type Pipeline, type Stream } from '@planasonix/store';
import { actorOf } from '../audit/actor.js';
import { ApiError, badField } from '../contract/api-error.js';
import { Api, Route, type Input } from '../contract/route.js';
import { Validated } from '../input/input.pipe.js';
import { Cursors, pageThrough } from '../paging/cursor.js';
import { StreamDrafts } from '../streams/stream-drafts.js';
import * as routes from './pipeline-routes.js';

/** Streams that a change of the output is tried with, the newest; the others find out at their start. */
const MOST_ASKED = 50;
const DEFAULT_OUTPUT = { type: 'redis_stream' };

const shown = (row: Pipeline) => ({
  id: row.id,
  name: row.name,
  output: row.output,
  createdAt: row.created_at.toISOString(),
  updatedAt: row.updated_at.toISOString(),
});

@Api()
export class PipelineController {
  constructor(
    @Inject(PipelineStore) private readonly pipelines: PipelineStore,
    @Inject(ConnectionStore) private readonly connections: ConnectionStore,
    @Inject(StreamStore) private readonly streams: StreamStore,
    @Inject(StreamDrafts) private readonly drafts: StreamDrafts,
    @Inject(Cursors) private readonly cursors: Cursors,
  ) {}

  @Route(routes.listPipelines)
  async list(@Validated() { query, call }: Input<typeof routes.listPipelines>) {
    const { workspaceId } = call.caller;
    const { rows, cursor } = await pageThrough(
      this.cursors,
      { list: 'pipelines', workspaceId },
      query,
      (limit, before) => this.pipelines.list(workspaceId, limit, before),
    );
    return { data: rows.map(shown), meta: { cursor } };
  }

  @Route(routes.createPipeline)
  async create(@Validated() { body, call }: Input<typeof routes.createPipeline>) {
    await this.checkOutput(call.caller.workspaceId, body.output);
    const row = await this.pipelines.create(actorOf(call), {
      name: body.name,
      output: body.output ?? DEFAULT_OUTPUT,
    });
    return shown(row);
  }

  @Route(routes.getPipeline)
  async get(@Validated() { params, call }: Input<typeof routes.getPipeline>) {
    return shown(await this.existing(call.caller.workspaceId, params.id));
  }

  @Route(routes.putPipeline)
  async put(@Validated() { params, body, call }: Input<typeof routes.putPipeline>) {
    const { workspaceId } = call.caller;
    const output = body.output ?? DEFAULT_OUTPUT;
    await this.checkOutput(workspaceId, body.output);
    const before = await this.existing(workspaceId, params.id);
    if (output.type === 'kafka' && !isDeepStrictEqual(output, before.output))
      await this.drafts.forOutput(workspaceId, { id: params.id, output }, await this.feeding(workspaceId, params.id));
    const row = await this.pipelines.update(actorOf(call), params.id, { name: body.name, output });
    if (row === null) throw new ApiError('not_found');
    return shown(row);
  }

  @Route(routes.deletePipeline)
  async remove(@Validated() { params, call }: Input<typeof routes.deletePipeline>) {
    const row = await this.pipelines.remove(actorOf(call), params.id);
    if (row === null) throw new ApiError('not_found');
    return { id: row.id, deleted: true };
  }

  /** Unknown and foreign connections are told alike. */
  private async checkOutput(
    workspaceId: string,
    output: Input<typeof routes.createPipeline>['body']['output'],
  ): Promise<void> {
    if (output?.type !== 'kafka') return;
    const connection = await this.connections.get(workspaceId, output.connectionId);
    if (connection === null)
      throw badField(
        'output.connection_id',
        'is not a connection of this workspace',
        'GET /api/connections lists them.',
      );
    if (connection.type !== 'kafka') throw badField('output.connection_id', 'is not a connection of type kafka');
  }

  /** Those whose secrets can be read: the others say themselves what they lack. */
  private async feeding(workspaceId: string, pipelineId: string): Promise<Stream[]> {
    const rows = await this.streams.list(workspaceId, { pipeline_id: pipelineId }, MOST_ASKED, null);
    return rows.flatMap((row) => {
      try {
        return [{ ...row, config: this.streams.settings(row) }];
      } catch {
        return [];
      }
    });
  }

  private async existing(workspaceId: string, id: string): Promise<Pipeline> {
    const row = await this.pipelines.get(workspaceId, id);
    if (row === null) throw new ApiError('not_found');
    return row;
  }
}
