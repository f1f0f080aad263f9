import {
  Module,
  type DynamicModule,
  type OnApplicationShutdown,
  type BeforeApplicationShutdown,
  Inject,
} from '@nestjs/common';
import { APP_FILTER, APP_INTERCEPTOR } from '@nestjs/core';
import { CommandService, DeleteService, PositionService } from '@planasonix/lifecycle';
import { MetricsStore } from '@planasonix/metrics';
import {
  ApiKeyStore,
  AuditStore,
  ConnectionStore,
  PipelineStore,
  SetAsideStore,
  SnapshotOrderStore,
  StreamStore,
} from '@planasonix/store';
import { AuditController } from './audit/audit.controller.js';
import type { Gateway } from './composition.js';
import { ConnectionTestController } from './connections/connection-test.controller.js';
import { ConnectionController } from './connections/connection.controller.js';
import { HostRules } from './connections/host-rules.js';
import type { ApiErrorFilter } from './http/api-error.filter.js';
import { IdempotencyInterceptor } from './http/idempotency.interceptor.js';
import { InputPipe } from './input/input.pipe.js';
import { KeyController } from './keys/key.controller.js';
import { DocsController } from './openapi/docs.controller.js';
import { OpenApiController } from './openapi/openapi.controller.js';
import { Cursors } from './paging/cursor.js';
import { PipelineController } from './pipelines/pipeline.controller.js';
import { SourceCatalog } from './sources/source-catalog.js';
import { SourceController } from './sources/source.controller.js';
import { WorkerQuestions } from './sources/worker-questions.js';
import { CommandController } from './streams/command.controller.js';
import { EventController } from './streams/event.controller.js';
import { EventLogs } from './streams/event-logs.js';
import { INGEST_BASE } from './streams/ingest-base.js';
import { IngestController } from './streams/ingest.controller.js';
import { LiveTails } from './streams/live-tails.js';
import { NUDGE, OrderController } from './streams/order.controller.js';
import { PositionController } from './streams/position.controller.js';
import { RejectedController } from './streams/rejected.controller.js';
import { StreamDrafts } from './streams/stream-drafts.js';
import { StreamMetrics } from './streams/stream-metrics.js';
import { StreamController } from './streams/stream.controller.js';

const GATEWAY = 'GATEWAY';

/** What the composition connected, as Nest's controllers see it. */
@Module({})
export class GatewayModule implements BeforeApplicationShutdown, OnApplicationShutdown {
  constructor(@Inject(GATEWAY) private readonly gateway: Gateway) {}

  static over(gateway: Gateway, filter: ApiErrorFilter): DynamicModule {
    const value = (provide: unknown, useValue: unknown) => ({ provide: provide as string, useValue });
    return {
      module: GatewayModule,
      controllers: [
        StreamController,
        CommandController,
        EventController,
        OrderController,
        PositionController,
        RejectedController,
        IngestController,
        ConnectionController,
        ConnectionTestController,
        PipelineController,
        KeyController,
        AuditController,
        SourceController,
        OpenApiController,
        DocsController,
      ],
      providers: [
        InputPipe,
        value(GATEWAY, gateway),
        value(ApiKeyStore, gateway.keys),
        value(StreamStore, gateway.streams),
        value(PipelineStore, gateway.pipelines),
        value(ConnectionStore, gateway.connections),
        value(AuditStore, gateway.audit),
        value(CommandService, gateway.commands),
        value(DeleteService, gateway.deletes),
        value(PositionService, gateway.places),
        value(SnapshotOrderStore, gateway.orders),
        value(SetAsideStore, gateway.aside),
        value(NUDGE, gateway.nudge),
        value(MetricsStore, gateway.counters),
        value(EventLogs, gateway.logs),
        value(LiveTails, gateway.tails),
        value(SourceCatalog, gateway.catalog),
        value(WorkerQuestions, gateway.questions),
        value(HostRules, gateway.hosts),
        value(Cursors, gateway.cursors),
        value(StreamDrafts, gateway.drafts),
        value(StreamMetrics, gateway.metrics),
        value(INGEST_BASE, gateway.ingestBase),
        { provide: APP_FILTER, useValue: filter },
        { provide: APP_INTERCEPTOR, useValue: new IdempotencyInterceptor(gateway.idempotency, gateway.box) },
      ],
    };
  }

  /** Live tails would keep the server from closing. */
  beforeApplicationShutdown(): void {
    this.gateway.tails.close();
  }

  async onApplicationShutdown(): Promise<void> {
    await this.gateway.close();
  }
}
