import { Controller } from '@nestjs/common';
import { EventPattern, Payload } from '@nestjs/microservices';
import { PATTERNS } from '@planasonix/core';
import type { MetricsStore } from '@planasonix/metrics';
import { Counter } from 'prom-client';
import { readReports } from './report-schema.js';
import type { StreamCensus } from './stream-census.js';

const received = new Counter({
  name: 'planasonix_reports_total',
  help: 'Counter reports by what became of them',
  labelNames: ['outcome'],
});

/** Counters in. A report that is not new, not ours or not well formed changes nothing. */
@Controller()
export class CountersController {
  constructor(
    private readonly metrics: MetricsStore,
    private readonly census: StreamCensus,
  ) {}

  @EventPattern(PATTERNS.counters)
  async take(@Payload() payload: unknown): Promise<void> {
    const { reports, refused } = readReports(payload);
    const admitted = await this.census.admit(reports);
    // Redis away: the next report carries the same totals and more.
    const applied = await this.metrics.apply(admitted).catch(() => 0);
    received.inc({ outcome: 'malformed' }, refused);
    received.inc({ outcome: 'foreign' }, reports.length - admitted.length);
    received.inc({ outcome: 'applied' }, applied);
    received.inc({ outcome: 'repeated' }, admitted.length - applied);
  }
}
