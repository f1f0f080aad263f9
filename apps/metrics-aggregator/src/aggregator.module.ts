import { Inject, Module, type DynamicModule, type OnApplicationShutdown } from '@nestjs/common';
import { ScheduleModule } from '@nestjs/schedule';
import { MetricsStore } from '@planasonix/metrics';
import type { MetricsSnapshotStore } from '@planasonix/store';
import { CountersController } from './counters.controller.js';
import { Snapshots } from './snapshots.js';
import { StreamCensus } from './stream-census.js';
import { StreamGauges } from './stream-gauges.js';

export interface AggregatorParts {
  readonly metrics: MetricsStore;
  readonly census: StreamCensus;
  readonly snapshots: MetricsSnapshotStore;
  close(): Promise<void>;
}

const PARTS = Symbol('aggregator parts');

/** The parts are made in `boot.ts` and handed in, so that a test can hand in others. */
@Module({})
export class AggregatorModule implements OnApplicationShutdown {
  constructor(
    @Inject(PARTS) private readonly parts: AggregatorParts,
    @Inject(Snapshots) private readonly snapshots: Snapshots,
  ) {}

  static of(parts: AggregatorParts): DynamicModule {
    const { metrics, census, snapshots } = parts;
    return {
      module: AggregatorModule,
      imports: [ScheduleModule.forRoot()],
      controllers: [CountersController],
      providers: [
        { provide: PARTS, useValue: parts },
        { provide: MetricsStore, useValue: metrics },
        { provide: StreamCensus, useValue: census },
        { provide: Snapshots, useFactory: () => new Snapshots(metrics, census, snapshots, new StreamGauges()) },
      ],
    };
  }

  async onApplicationShutdown(): Promise<void> {
    await this.snapshots.ended();
    await this.parts.close();
  }
}
