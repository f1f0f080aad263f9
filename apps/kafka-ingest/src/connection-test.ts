import {
  type ConnectionReport,
  type ConnectionSettings,
  failedTest,
  type Log,
  type Outbound,
  passes,
  systemClock,
} from '@planasonix/core';
import { KafkaCluster, kafkaSettings, toStreamError } from '@planasonix/kafka';
import { brokerChecks, versionCheck } from './preflight.js';

const quiet: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

/** Dials every broker that the cluster names, logs in, asks. */
export async function testConnection(
  connection: ConnectionSettings,
  outbound: Outbound,
  signal: AbortSignal,
): Promise<ConnectionReport> {
  const begun = performance.now();
  let cluster: KafkaCluster | null = null;
  const end = (): void => cluster?.close();
  try {
    cluster = new KafkaCluster({ settings: kafkaSettings(connection), outbound, log: quiet, clock: systemClock });
    signal.addEventListener('abort', end, { once: true });
    const { brokers } = await cluster.view([]);
    const latencyMs = Math.round(performance.now() - begun);
    const checks = [
      {
        code: 'reachable',
        severity: 'info' as const,
        message: `The cluster answers; it has ${brokers.size} brokers.`,
        fix: null,
      },
      await versionCheck(cluster),
      ...(await brokerChecks(cluster)),
    ];
    const ok = passes(checks);
    const message = ok ? 'The connection works.' : checks.find(({ severity }) => severity === 'error')!.message;
    return { ok, latencyMs, serverVersion: null, message, checks };
  } catch (error) {
    return failedTest(toStreamError(error, 'testing the connection'));
  } finally {
    signal.removeEventListener('abort', end);
    end();
  }
}
