import { Inject } from '@nestjs/common';
import { PositionService } from '@planasonix/lifecycle';
import { visiblePosition, type KnownPositions } from '@planasonix/store';
import { actorOf } from '../audit/actor.js';
import { Api, Route, type Input } from '../contract/route.js';
import { Validated } from '../input/input.pipe.js';
import { getPosition, setPosition } from './position-routes.js';

/** Where a stream goes on: to be looked at, and to be set while it rests. */
@Api()
export class PositionController {
  constructor(@Inject(PositionService) private readonly positions: PositionService) {}

  @Route(getPosition)
  async get(@Validated() { params, call }: Input<typeof getPosition>) {
    return shownPosition(params.id, await this.positions.get(call.caller, params.id));
  }

  @Route(setPosition)
  async set(@Validated() { params, body, call }: Input<typeof setPosition>) {
    return shownPosition(params.id, await this.positions.set(actorOf(call), params.id, body.position));
  }
}

const shownPosition = (id: string, { positions, committedAt, pending }: KnownPositions) => ({
  data: {
    id,
    type: 'stream_position',
    attributes: {
      position: visiblePosition(positions),
      committed_at: committedAt?.toISOString() ?? null,
      pending: pending && { position: visiblePosition(pending.positions), since: pending.since.toISOString() },
    },
  },
});
