import { Controller, Module, type BeforeApplicationShutdown, type DynamicModule } from '@nestjs/common';
import { EventPattern } from '@nestjs/microservices';
import { PATTERNS } from '@planasonix/core';
import { WebhookIngest } from './app.js';

/** The bell of the event transport. Each instance serves every stream, so each one looks. */
@Controller()
export class NudgeController implements BeforeApplicationShutdown {
  constructor(private readonly ingest: WebhookIngest) {}

  @EventPattern(PATTERNS.nudge)
  async nudged(): Promise<void> {
    await this.ingest.nudged();
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.ingest.stop();
  }
}

@Module({})
export class IngestModule {
  static of(ingest: WebhookIngest): DynamicModule {
    return {
      module: IngestModule,
      controllers: [NudgeController],
      providers: [{ provide: WebhookIngest, useValue: ingest }],
    };
  }
}
