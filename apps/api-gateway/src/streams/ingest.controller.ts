import { Inject } from '@nestjs/common';
import { deliveryHint } from '@planasonix/core';
import { MASK, PipelineStore, splitSecrets, StreamStore, type Stream } from '@planasonix/store';
import { actorOf } from '../audit/actor.js';
import { ApiError, badField } from '../contract/api-error.js';
import { Api, Route, type Call, type Input } from '../contract/route.js';
import { isObject } from '../input/casing.js';
import { Validated } from '../input/input.pipe.js';
import { SourceCatalog } from '../sources/source-catalog.js';
import { WorkerQuestions } from '../sources/worker-questions.js';
import { EventLogs } from './event-logs.js';
import { INGEST_BASE } from './ingest-base.js';
import * as routes from './ingest-routes.js';
import { newIngestToken } from './ingest-token.js';
import { NUDGE } from './order.controller.js';
import { newSecret, overlapMs, rotated } from './secret-rotation.js';
import { shown } from './stream-view.js';

/** Streams that take deliveries in: their address, their secrets, and what became of deliveries. */
@Api()
export class IngestController {
  constructor(
    @Inject(StreamStore) private readonly streams: StreamStore,
    @Inject(PipelineStore) private readonly pipelines: PipelineStore,
    @Inject(EventLogs) private readonly logs: EventLogs,
    @Inject(SourceCatalog) private readonly catalog: SourceCatalog,
    @Inject(WorkerQuestions) private readonly workers: WorkerQuestions,
    @Inject(INGEST_BASE) private readonly ingestBase: string,
    @Inject(NUDGE) private readonly nudge: (streamId: string) => void,
  ) {}

  @Route(routes.rotateSecret)
  async rotateSecret(@Validated() { params, body, call }: Input<typeof routes.rotateSecret>) {
    // Somebody copied an answer: it would be a secret that everybody knows.
    if (body.secret === MASK) throw badField('secret', 'must be the secret itself', 'Leave it out to have one made.');
    const before = await this.served(call, params.id);
    const source = await this.catalog.get(before.source_type);
    const secret = body.secret ?? newSecret(this.streams.settings(before));
    const overlap = overlapMs(body.overlap);
    const draft = rotated(this.streams.settings(before), secret, Date.now(), overlap);
    if (draft === null) throw new ApiError('secret_fixed');
    // A secret that is no key of its scheme would shut the door.
    await this.workers.expectTables(call.caller.workspaceId, source.type, { connectionId: null, config: draft.config });
    const made = { live: 0, earlierUntil: null as string | null };
    const answer = ({ id }: Stream) => {
      const attributes = { secret, live_secrets: made.live, earlier_until: made.earlierUntil };
      return { data: { id, type: 'stream_secret', attributes } };
    };
    const row = await this.streams.reconfigure(
      actorOf(call),
      params.id,
      'stream.rotate_secret',
      (config) => {
        const next = rotated(config, secret, Date.now(), overlap);
        if (next === null) throw new ApiError('secret_fixed');
        Object.assign(made, { live: next.live, earlierUntil: next.earlierUntil });
        return splitSecrets(source.config_schema, next.config);
      },
      (db, after) => call.keep(db, answer(after)),
    );
    if (row === null) throw new ApiError('not_found');
    this.nudge(row.id);
    return answer(row);
  }

  @Route(routes.rotateIngestUrl)
  async rotateIngestUrl(@Validated() { params, call }: Input<typeof routes.rotateIngestUrl>) {
    await this.served(call, params.id);
    const row = await this.streams.rotateIngestToken(actorOf(call), params.id, newIngestToken());
    if (row === null) throw new ApiError('not_found');
    this.nudge(row.id);
    return shown(row, await this.streams.positions(row.id), this.ingestBase);
  }

  @Route(routes.testEvent)
  async testEvent(@Validated() { params, call }: Input<typeof routes.testEvent>) {
    const row = await this.served(call, params.id);
    const answer = await this.workers.sample(row.source_type, row.id);
    return { data: { id: row.id, type: 'stream_test_event', attributes: answer } };
  }

  @Route(routes.listDeliveries)
  async deliveries(@Validated() { params, query, call }: Input<typeof routes.listDeliveries>) {
    const row = await this.served(call, params.id);
    const pipeline = await this.pipelines.get(call.caller.workspaceId, row.pipeline_id);
    if (pipeline === null) throw new ApiError('not_found');
    const notes = (await this.logs.of(pipeline.output as never).answers?.(row.id)) ?? [];
    const wanted = notes.flatMap(deliveryOf).filter((one) => !query.failed || hasFailed(one));
    const data = wanted.sort(newestFirst).slice(0, query.limit);
    return { data, meta: { page: { limit: query.limit, cursor: null } } };
  }

  private async served(call: Call, id: string): Promise<Stream> {
    const row = await this.streams.get(call.caller.workspaceId, id);
    if (row === null) throw new ApiError('not_found');
    if (row.ingest_token === null) throw new ApiError('ingest_unsupported');
    return row;
  }
}

interface ShownDelivery {
  readonly id: unknown;
  readonly type: 'delivery';
  readonly attributes: Readonly<Record<'at' | 'status' | 'reason' | 'hint' | 'event_id', unknown>>;
}

const hasFailed = ({ attributes }: ShownDelivery): boolean => Number(attributes.status) >= 400;

/** Several instances tell of theirs, each in its own turn. */
const newestFirst = (a: ShownDelivery, b: ShownDelivery): number =>
  String(b.attributes.at) < String(a.attributes.at) ? -1 : 1;

/** Notes come from workers, perhaps of another version. */
function deliveryOf(note: string): ShownDelivery[] {
  const found = JSON.parse(note) as unknown;
  if (!isObject(found)) return [];
  const { id = null, at, status, reason = null, event_id = null } = found;
  const hint = typeof reason === 'string' ? deliveryHint(reason) : null;
  return [{ id, type: 'delivery', attributes: { at, status, reason, hint, event_id } }];
}
