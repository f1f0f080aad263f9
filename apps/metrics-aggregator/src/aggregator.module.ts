import { Module, type DynamicModule } from '@nestjs/common';
import { ScheduleModule } from '@nestjs/schedule';
import type { MetricsStore } from '@planasonix/metrics';
import type { MetricsSnapshotStore } from '@planasonix/store';
import { CountersController } from './counters.controller.js';
import { Snapshots } from './snapshots.js';
import { StreamCensus } from './stream-census.js';

export interface AggregatorParts {
  readonly metrics: MetricsStore;
  readonly census: StreamCensus;
  readonly snapshots: MetricsSnapshotStore;
}

/** The parts are made in `main.ts` and handed in, so that a test can hand in others. */
@Module({})
export class AggregatorModule {
  static of({ metrics, census, snapshots }: AggregatorParts): DynamicModule {
    return {
      module: AggregatorModule,
      imports: [ScheduleModule.forRoot()],
      controllers: [CountersController],
      providers: [
        { provide: CountersController, useFactory: () => new CountersController(metrics, census) },
        { provide: Snapshots, useFactory: () => new Snapshots(metrics, census, snapshots) },
        { provide: StreamCensus, useValue: census },
      ],
    };
  }
}
