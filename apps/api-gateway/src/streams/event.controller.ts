import { Inject, Req, Res, StreamableFile } from '@nestjs/common';
import { StreamError } from '@planasonix/core';
import { PipelineStore, StreamStore } from '@planasonix/store';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ApiError } from '../contract/api-error.js';
import { Api, Route, type Input } from '../contract/route.js';
import { Validated } from '../input/input.pipe.js';
import { pageText } from './event-text.js';
import { EventLogs } from './event-logs.js';
import { LiveTails } from './live-tails.js';
import * as routes from './stream-routes.js';

@Api()
export class EventController {
  constructor(
    @Inject(StreamStore) private readonly streams: StreamStore,
    @Inject(PipelineStore) private readonly pipelines: PipelineStore,
    @Inject(EventLogs) private readonly logs: EventLogs,
    @Inject(LiveTails) private readonly tails: LiveTails,
  ) {}

  @Route(routes.streamEvents)
  async look(
    @Validated() { params, query, call }: Input<typeof routes.streamEvents>,
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<string | StreamableFile> {
    const { workspaceId } = call.caller;
    const row = await this.streams.get(workspaceId, params.id);
    const pipeline = row === null ? null : await this.pipelines.get(workspaceId, row.pipeline_id);
    if (row === null || pipeline === null) throw new ApiError('not_found');
    const log = this.logs.of(pipeline.output as never);
    // Of a HEAD nobody would read or end the stream.
    if (request.method === 'HEAD' || !wantsStream(request)) {
      const after = query.after ?? null;
      const entries = await log.read(row.id, { limit: query.limit, after }).catch(badCursor);
      void reply.type('application/json; charset=utf-8');
      return pageText(entries, query.limit, after);
    }
    const after = query.after ?? lastEventId(request);
    // A broken cursor, or a log without an order, is told before the stream begins: afterwards there is no status for it.
    if (after !== null || pipeline.output['type'] === 'kafka')
      await log.read(row.id, { limit: 1, after }).catch(badCursor);
    const live = this.tails.start(call.caller, log, row.id, after);
    void reply.header('x-accel-buffering', 'no');
    return new StreamableFile(live, { type: 'text/event-stream; charset=utf-8' });
  }
}

const wantsStream = (request: FastifyRequest): boolean =>
  /(?:^|,)\s*text\/event-stream\b/i.test(request.headers.accept ?? '');

function lastEventId(request: FastifyRequest): string | null {
  const given = request.headers['last-event-id'];
  return typeof given === 'string' && given !== '' ? given.slice(0, 100) : null;
}

/** The log knows its own cursors. */
function badCursor(error: unknown): never {
  if (error instanceof StreamError && error.code === 'config_invalid')
    throw new ApiError('invalid_cursor', {
      message: error.message,
      hint: error.hint,
      details: [{ field: 'after', issue: 'is not a cursor of this log' }],
    });
  throw error;
}
