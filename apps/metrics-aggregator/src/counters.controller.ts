import { Controller, Inject } from '@nestjs/common';
import { EventPattern, Payload } from '@nestjs/microservices';
import { PATTERNS } from '@planasonix/core';
import { MetricsStore } from '@planasonix/metrics';
import { Counter, Gauge } from 'prom-client';
import { readReports } from './report-schema.js';
import { StreamCensus } from './stream-census.js';

const outcomes = new Counter({
  name: 'planasonix_reports_total',
  help: 'Counter reports by what became of them',
  labelNames: ['outcome'],
});
const streams = new Gauge({ name: 'planasonix_streams_reporting', help: 'Streams that reported within ten minutes' });

/** Counters in. A report that is not new, not ours or not well formed changes nothing (trap 37). */
@Controller()
export class CountersController {
  constructor(
    @Inject(MetricsStore) private readonly metrics: MetricsStore,
    @Inject(StreamCensus) private readonly census: StreamCensus,
  ) {}

  @EventPattern(PATTERNS.counters)
  async take(@Payload() payload: unknown): Promise<void> {
    const { reports, refused } = readReports(payload);
    const admitted = await this.census.admit(reports);
    outcomes.inc({ outcome: 'malformed' }, refused);
    outcomes.inc({ outcome: 'foreign' }, reports.length - admitted.length);
    streams.set(this.census.size);
    try {
      const applied = await this.metrics.apply(admitted, (id) => this.census.createdAt(id));
      outcomes.inc({ outcome: 'applied' }, applied);
      outcomes.inc({ outcome: 'repeated' }, admitted.length - applied);
    } catch {
      // Redis is away: the next report carries the same totals and more.
      outcomes.inc({ outcome: 'lost' }, admitted.length);
    }
  }
}
