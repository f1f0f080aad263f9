import { Inject } from '@nestjs/common';
import {
  findingOf,
  losesPosition,
  passes,
  type Check,
  type OnLostPosition,
  type StreamCommand,
} from '@planasonix/core';
import { CommandService, DeleteService } from '@planasonix/lifecycle';
import { MetricsStore } from '@planasonix/metrics';
import { AuditStore, StreamStore, type Stream } from '@planasonix/store';
import { actorOf } from '../audit/actor.js';
import { ApiError } from '../contract/api-error.js';
import { Api, Route, type Call, type Input } from '../contract/route.js';
import { Validated } from '../input/input.pipe.js';
import { WorkerQuestions } from '../sources/worker-questions.js';
import * as routes from './stream-routes.js';
import { commanded } from './stream-view.js';

/** Why the stream's place at its source is lost, where it is. */
const lostPlace = ({ status, last_error: error }: Stream): Check[] =>
  status === 'error' && error !== null && losesPosition(error.code) ? [findingOf(error)] : [];

/** What operators do to a stream. The lifecycle decides; this only puts it into words. */
@Api()
export class CommandController {
  constructor(
    @Inject(CommandService) private readonly commands: CommandService,
    @Inject(DeleteService) private readonly deletes: DeleteService,
    @Inject(StreamStore) private readonly streams: StreamStore,
    @Inject(WorkerQuestions) private readonly workers: WorkerQuestions,
    @Inject(AuditStore) private readonly audit: AuditStore,
    @Inject(MetricsStore) private readonly counters: MetricsStore,
  ) {}

  @Route(routes.startStream)
  start(@Validated() { params, body, call }: Input<typeof routes.startStream>) {
    return this.execute(call, params.id, 'start', body.onLostPosition ?? null);
  }

  @Route(routes.stopStream)
  stop(@Validated() { params, call }: Input<typeof routes.stopStream>) {
    return this.execute(call, params.id, 'stop');
  }

  @Route(routes.pauseStream)
  pause(@Validated() { params, call }: Input<typeof routes.pauseStream>) {
    return this.execute(call, params.id, 'pause');
  }

  @Route(routes.resumeStream)
  resume(@Validated() { params, call }: Input<typeof routes.resumeStream>) {
    return this.execute(call, params.id, 'resume');
  }

  @Route(routes.deleteStream)
  async remove(@Validated() { params, query, call }: Input<typeof routes.deleteStream>) {
    const deletedAt = await this.deletes.remove(actorOf(call), params.id, query);
    void this.counters.forget(params.id).catch(() => undefined);
    return {
      data: { id: params.id, type: 'stream', attributes: { deleted: true, deleted_at: deletedAt.toISOString() } },
    };
  }

  @Route(routes.checkStream)
  async check(@Validated() { params, call }: Input<typeof routes.checkStream>) {
    const row = await this.streams.get(call.caller.workspaceId, params.id);
    if (row === null) throw new ApiError('not_found');
    const found = await this.workers.check(row.source_type, row.id);
    // A source that is asked does not know what was read of it: the row does.
    const lost = lostPlace(row).filter(({ code }) => !found.some((one) => one.code === code));
    const checks = [...lost, ...found];
    const ok = passes(checks);
    await this.audit.append(actorOf(call), {
      action: 'stream.check',
      resourceType: 'stream',
      resourceId: row.id,
      after: { ok },
    });
    return { data: { id: row.id, type: 'stream_check', attributes: { ok, checks } } };
  }

  private async execute(call: Call, id: string, command: StreamCommand, onLostPosition: OnLostPosition | null = null) {
    const { status, updatedAt } = await this.commands.execute(actorOf(call), id, command, onLostPosition);
    return commanded(id, status, updatedAt);
  }
}
