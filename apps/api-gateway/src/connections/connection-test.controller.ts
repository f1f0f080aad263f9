import { Inject } from '@nestjs/common';
import type { ConnectionReport } from '@planasonix/core';
import { AuditStore, ConnectionStore, hasMask } from '@planasonix/store';
import { actorOf } from '../audit/actor.js';
import { ApiError, badField } from '../contract/api-error.js';
import { Api, Route, type Input } from '../contract/route.js';
import { Validated } from '../input/input.pipe.js';
import { WorkerQuestions } from '../sources/worker-questions.js';
import * as routes from './connection-routes.js';
import { HostRules } from './host-rules.js';

const answer = ({ ok, latencyMs, serverVersion, message, checks }: ConnectionReport) => ({
  ok,
  latencyMs,
  serverVersion,
  message,
  checks,
});

@Api()
export class ConnectionTestController {
  constructor(
    @Inject(ConnectionStore) private readonly connections: ConnectionStore,
    @Inject(AuditStore) private readonly audit: AuditStore,
    @Inject(WorkerQuestions) private readonly workers: WorkerQuestions,
    @Inject(HostRules) private readonly hosts: HostRules,
  ) {}

  @Route(routes.testNewConnection)
  async testNew(@Validated() { body, call }: Input<typeof routes.testNewConnection>) {
    if (hasMask(body.config))
      throw badField(
        'config',
        'must have the secrets themselves',
        'POST /api/connections/{id}/test tests a stored connection.',
      );
    await this.hosts.check(body.config);
    const report = await this.workers.testDraft(call.caller.workspaceId, body.type, body.config);
    await this.audit.append(actorOf(call), {
      action: 'connection.test',
      resourceType: 'connection',
      resourceId: null,
      after: { type: body.type, ok: report.ok },
    });
    return answer(report);
  }

  @Route(routes.testConnection)
  async test(@Validated() { params, call }: Input<typeof routes.testConnection>) {
    const { workspaceId } = call.caller;
    const row = await this.connections.get(workspaceId, params.id);
    if (row === null) throw new ApiError('not_found');
    const report = await this.workers.testStored(row.type, row.id);
    await this.audit.append(actorOf(call), {
      action: 'connection.test',
      resourceType: 'connection',
      resourceId: row.id,
      after: { ok: report.ok },
    });
    return answer(report);
  }
}
