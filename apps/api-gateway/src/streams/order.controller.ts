import { Inject } from '@nestjs/common';
import { SnapshotOrderStore, StreamStore, type Stream } from '@planasonix/store';
import { actorOf } from '../audit/actor.js';
import { ApiError } from '../contract/api-error.js';
import { Api, Route, type Call, type Input } from '../contract/route.js';
import { Validated } from '../input/input.pipe.js';
import { Cursors, pageThrough } from '../paging/cursor.js';
import { WorkerQuestions } from '../sources/worker-questions.js';
import * as routes from './order-routes.js';
import { ordered } from './order-view.js';

/** Tells the owner of a stream to look at its row. Lossy: it also looks by itself, each 2 s. */
export const NUDGE = 'NUDGE';

/** Rows that are read again on demand, beside the stream. */
@Api()
export class OrderController {
  constructor(
    @Inject(StreamStore) private readonly streams: StreamStore,
    @Inject(SnapshotOrderStore) private readonly orders: SnapshotOrderStore,
    @Inject(WorkerQuestions) private readonly workers: WorkerQuestions,
    @Inject(Cursors) private readonly cursors: Cursors,
    @Inject(NUDGE) private readonly nudge: (streamId: string) => void,
  ) {}

  @Route(routes.orderSnapshot)
  async order(@Validated() { params, body, call }: Input<typeof routes.orderSnapshot>) {
    const stream = await this.existing(call, params.id);
    if (stream.status === 'created' || stream.status === 'error') throw takesNone(stream.status);
    const wish = { tables: body.tables, where: body.where ?? null };
    await this.workers.expectOrder(stream, wish);
    const placed = await this.orders.place(actorOf(call), params.id, wish, (db, { order, stream }) =>
      call.keep(db, { data: ordered(order, stream) }),
    );
    switch (placed.kind) {
      case 'missing':
        throw new ApiError('not_found');
      case 'deleting':
        throw new ApiError('deleting');
      case 'full':
        throw new ApiError('too_many_snapshots');
      case 'invalid':
        throw takesNone(placed.from);
      case 'placed':
        this.nudge(params.id);
        return { data: ordered(placed.order, placed.stream) };
    }
  }

  @Route(routes.listSnapshots)
  async list(@Validated() { params, query, call }: Input<typeof routes.listSnapshots>) {
    const { workspaceId } = call.caller;
    const stream = await this.existing(call, params.id);
    const { rows, cursor } = await pageThrough(
      this.cursors,
      { list: 'snapshots', workspaceId, filters: { stream: params.id } },
      query,
      (count, before) => this.orders.list(workspaceId, params.id, count, before),
    );
    return { data: rows.map((row) => ordered(row, stream)), meta: { page: { limit: query.limit, cursor } } };
  }

  @Route(routes.cancelSnapshot)
  async cancel(@Validated() { params, call }: Input<typeof routes.cancelSnapshot>) {
    const cancelled = await this.orders.cancel(actorOf(call), params.id, params.snapshotId);
    switch (cancelled.kind) {
      case 'missing':
        throw new ApiError('not_found');
      case 'over':
        throw new ApiError('snapshot_over', {
          message: cancelled.order.failed === null ? 'The snapshot is done.' : 'The snapshot has failed.',
        });
      case 'cancelled':
        this.nudge(params.id);
        return { data: ordered(cancelled.order, cancelled.stream) };
    }
  }

  private async existing(call: Call, id: string): Promise<Stream> {
    const row = await this.streams.get(call.caller.workspaceId, id);
    if (row === null) throw new ApiError('not_found');
    return row;
  }
}

const takesNone = (status: string): ApiError =>
  new ApiError('invalid_transition', {
    message: `Rows of a stream that is ${status} can not be ordered.`,
    hint:
      status === 'error'
        ? 'Mend the cause that last_error names and start the stream; then order.'
        : 'Start the stream first: it reads all rows by itself, unless told otherwise.',
  });
