import { Inject } from '@nestjs/common';
import { AuditStore, ConnectionStore, PipelineStore, type Pipeline } from '@planasonix/store';
import { actorOf } from '../audit/actor.js';
import { ApiError, badField } from '../contract/api-error.js';
import { Api, Route, type Input } from '../contract/route.js';
import { Validated } from '../input/input.pipe.js';
import { Cursors, pageThrough } from '../paging/cursor.js';
import * as routes from './pipeline-routes.js';

const DEFAULT_OUTPUT = { type: 'redis_stream' };

const shown = (row: Pipeline) => ({
  id: row.id,
  name: row.name,
  output: row.output,
  createdAt: row.created_at.toISOString(),
  updatedAt: row.updated_at.toISOString(),
});
const told = (row: Pipeline) => ({ name: row.name, output: row.output });

@Api()
export class PipelineController {
  constructor(
    @Inject(PipelineStore) private readonly pipelines: PipelineStore,
    @Inject(ConnectionStore) private readonly connections: ConnectionStore,
    @Inject(AuditStore) private readonly audit: AuditStore,
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
    const row = await this.pipelines.create(call.caller.workspaceId, {
      name: body.name,
      output: body.output ?? DEFAULT_OUTPUT,
    });
    await this.audit.append(actorOf(call), {
      action: 'pipeline.create',
      resourceType: 'pipeline',
      resourceId: row.id,
      after: told(row),
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
    const before = await this.existing(workspaceId, params.id);
    await this.checkOutput(workspaceId, body.output);
    const row = await this.pipelines.update(workspaceId, params.id, {
      name: body.name,
      output: body.output ?? DEFAULT_OUTPUT,
    });
    if (row === null) throw new ApiError('not_found');
    await this.audit.append(actorOf(call), {
      action: 'pipeline.update',
      resourceType: 'pipeline',
      resourceId: row.id,
      before: told(before),
      after: told(row),
    });
    return shown(row);
  }

  @Route(routes.deletePipeline)
  async remove(@Validated() { params, call }: Input<typeof routes.deletePipeline>) {
    const row = await this.pipelines.remove(call.caller.workspaceId, params.id);
    if (row === null) throw new ApiError('not_found');
    await this.audit.append(actorOf(call), {
      action: 'pipeline.delete',
      resourceType: 'pipeline',
      resourceId: row.id,
      before: told(row),
    });
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

  private async existing(workspaceId: string, id: string): Promise<Pipeline> {
    const row = await this.pipelines.get(workspaceId, id);
    if (row === null) throw new ApiError('not_found');
    return row;
  }
}
