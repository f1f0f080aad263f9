import { Controller, Module, type BeforeApplicationShutdown, type DynamicModule } from '@nestjs/common';
import { EventPattern, Payload } from '@nestjs/microservices';
import { PATTERNS } from '@planasonix/core';
import { Connector } from './connector.js';

/** The bell of the event transport: lossy, and so only ever a hint to look at the row. */
@Controller()
export class NudgeController implements BeforeApplicationShutdown {
  constructor(private readonly connector: Connector) {}

  @EventPattern(PATTERNS.nudge)
  async nudged(@Payload() payload: unknown): Promise<void> {
    const id = (payload as { stream_id?: unknown } | null)?.stream_id;
    if (typeof id === 'string') await this.connector.nudged(id).catch(() => undefined);
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.connector.stop();
  }
}

@Module({})
export class ConnectorModule {
  static of(connector: Connector): DynamicModule {
    return {
      module: ConnectorModule,
      controllers: [NudgeController],
      providers: [{ provide: Connector, useValue: connector }],
    };
  }
}
