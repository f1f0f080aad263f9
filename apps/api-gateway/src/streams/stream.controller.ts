import { Inject } from '@nestjs/common';
import { STREAM_STATUSES } from '@planasonix/core';
import { PipelineStore, StreamStore, violates, type Stream } from '@planasonix/store';
import { actorOf } from '../audit/actor.js';
import { ApiError, badField } from '../contract/api-error.js';
import { Api, Route, type Call, type Input } from '../contract/route.js';
import { Validated } from '../input/input.pipe.js';
import { Cursors, pageThrough } from '../paging/cursor.js';
import { DOCUMENTED_FAMILIES, SourceCatalog } from '../sources/source-catalog.js';
import { INGEST_BASE } from './ingest-base.js';
import { StreamDrafts } from './stream-drafts.js';
import { StreamMetrics } from './stream-metrics.js';
import * as routes from './stream-routes.js';
import { listed, shown } from './stream-view.js';

type Patch = Input<typeof routes.patchStream>['body'];

/** How often a change is merged over one that came between. */
const MERGES = 5;

@Api()
export class StreamController {
  constructor(
    @Inject(StreamStore) private readonly streams: StreamStore,
    @Inject(PipelineStore) private readonly pipelines: PipelineStore,
    @Inject(StreamDrafts) private readonly drafts: StreamDrafts,
    @Inject(StreamMetrics) private readonly counters: StreamMetrics,
    @Inject(SourceCatalog) private readonly catalog: SourceCatalog,
    @Inject(Cursors) private readonly cursors: Cursors,
    @Inject(INGEST_BASE) private readonly ingestBase: string,
  ) {}

  @Route(routes.listStreams)
  async list(@Validated() { query, call }: Input<typeof routes.listStreams>) {
    const { workspaceId } = call.caller;
    const { limit, cursor: _, ...filters } = query;
    if (filters.source_type !== undefined) await this.expectType(filters.source_type);
    if (filters.pipeline_id !== undefined && (await this.pipelines.get(workspaceId, filters.pipeline_id)) === null)
      throw badField('pipeline_id', 'is not a pipeline of this workspace', 'GET /api/pipelines lists them.');
    const { rows, cursor } = await pageThrough(
      this.cursors,
      { list: 'streams', workspaceId, filters },
      query,
      (count, before) => this.streams.list(workspaceId, filters, count, before),
    );
    return { data: rows.map(listed), meta: { page: { limit, cursor } } };
  }

  @Route(routes.createStream)
  async create(@Validated() { body, call }: Input<typeof routes.createStream>) {
    const split = await this.drafts.forCreate(call.caller.workspaceId, body);
    const row = await this.streams
      .create(actorOf(call), {
        name: body.name,
        sourceType: body.sourceType,
        pipelineId: body.pipelineId,
        connectionId: body.connectionId ?? null,
        config: split.shown,
        secrets: split.secrets,
        ingestToken: split.ingestToken,
      })
      .catch((error: unknown) => {
        // What it names was deleted between the look and the insert.
        throw violates(error, 'foreign_key') ? badField('pipeline_id', 'is not there any more') : error;
      });
    return shown(row, new Map(), this.ingestBase);
  }

  @Route(routes.streamsSummary)
  async summary(@Validated() { call }: Input<typeof routes.streamsSummary>) {
    const { workspaceId } = call.caller;
    const [counts, { rate, stale }] = await Promise.all([
      this.streams.countByStatus(workspaceId),
      this.counters.eventsPerMinute(workspaceId),
    ]);
    const by_status = Object.fromEntries(STREAM_STATUSES.map((status) => [status, counts.get(status) ?? 0]));
    const total = Object.values(by_status).reduce((sum, n) => sum + n, 0);
    return {
      data: {
        type: 'streams_summary',
        attributes: {
          total,
          by_status,
          approx_events_per_minute: rate,
          computed_at: new Date().toISOString(),
          ...(stale ? { stale } : {}),
        },
      },
    };
  }

  @Route(routes.getStream)
  async get(@Validated() { params, call }: Input<typeof routes.getStream>) {
    const row = await this.existing(call.caller.workspaceId, params.id);
    return shown(row, await this.positionsOf(row), this.ingestBase);
  }

  @Route(routes.patchStream)
  async patch(@Validated() { params, body, call }: Input<typeof routes.patchStream>) {
    for (let tries = 0; tries < MERGES; tries++) {
      const row = await this.patched(call, params.id, body);
      if (row !== 'changed') return shown(row, await this.positionsOf(row), this.ingestBase);
    }
    throw new ApiError('superseded', { message: 'The config went on being changed by others.', hint: 'Try again.' });
  }

  @Route(routes.streamMetrics)
  async metrics(@Validated() { params, query, call }: Input<typeof routes.streamMetrics>) {
    const row = await this.existing(call.caller.workspaceId, params.id);
    return { data: { id: row.id, type: 'stream_metrics', attributes: await this.counters.window(row, query.window) } };
  }

  /** `changed`: somebody else's change of the config came between, and is not to be lost. */
  private async patched(call: Call, id: string, { name, config }: Patch): Promise<Stream | 'changed'> {
    const { workspaceId } = call.caller;
    const before = await this.existing(workspaceId, id);
    if (config !== undefined && (before.status === 'running' || before.status === 'starting'))
      throw new ApiError('stream_active');
    const split =
      config === undefined
        ? null
        : await this.drafts.forPatch(workspaceId, before, this.streams.settings(before), config);
    const row = await this.streams.patch(actorOf(call), id, {
      ...(name === undefined ? {} : { name }),
      ...(split === null ? {} : { config: split.shown, secrets: split.secrets, over: before.config_revision }),
    });
    if (row === null) throw new ApiError('not_found');
    if (row === 'busy') throw new ApiError('stream_active');
    return row;
  }

  private async existing(workspaceId: string, id: string): Promise<Stream> {
    const row = await this.streams.get(workspaceId, id);
    if (row === null) throw new ApiError('not_found');
    return row;
  }

  /** A stream that nobody ever read has none: one select less. */
  private async positionsOf(row: Stream): Promise<ReadonlyMap<string, string>> {
    return row.epoch === 0 ? new Map<string, string>() : this.streams.positions(row.id);
  }

  private async expectType(type: string): Promise<void> {
    const known = new Set([...DOCUMENTED_FAMILIES, ...(await this.catalog.all()).keys()]);
    if (!known.has(type)) throw badField('source_type', `must be one of ${[...known].join(', ')}`);
  }
}
