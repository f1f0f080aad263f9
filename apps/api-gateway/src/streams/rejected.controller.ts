import { Inject } from '@nestjs/common';
import { SetAsideStore, StreamStore } from '@planasonix/store';
import { ApiError } from '../contract/api-error.js';
import { Api, Route, type Input } from '../contract/route.js';
import { Validated } from '../input/input.pipe.js';
import { Cursors, pageThrough } from '../paging/cursor.js';
import { listRejected } from './rejected-routes.js';

/** What a stream could not take for an event. */
@Api()
export class RejectedController {
  constructor(
    @Inject(StreamStore) private readonly streams: StreamStore,
    @Inject(SetAsideStore) private readonly aside: SetAsideStore,
    @Inject(Cursors) private readonly cursors: Cursors,
  ) {}

  @Route(listRejected)
  async list(@Validated() { params, query, call }: Input<typeof listRejected>) {
    const { workspaceId } = call.caller;
    if ((await this.streams.get(workspaceId, params.id)) === null) throw new ApiError('not_found');
    const { rows, cursor } = await pageThrough(
      this.cursors,
      { list: 'rejected', workspaceId, filters: { stream: params.id } },
      query,
      (count, before) => this.aside.list(workspaceId, params.id, count, before),
    );
    return {
      data: rows.map(({ id, record_id, place, reason, record_at, set_aside_at }) => ({
        id,
        type: 'rejected_record',
        attributes: {
          stream_id: params.id,
          ...{ record_id, place, reason },
          record_at: record_at?.toISOString() ?? null,
          rejected_at: set_aside_at.toISOString(),
        },
      })),
      meta: { page: { limit: query.limit, cursor } },
    };
  }
}
