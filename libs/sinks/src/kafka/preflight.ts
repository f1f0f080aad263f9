import type { Check } from '@planasonix/core';
import type { ClusterView } from '@planasonix/kafka';
import type { Durability } from '../redis-stream/durability.js';
import type { Reached } from './kafka-cluster.js';
import { ownRights } from './rights.js';
import { finding, namedChecks, ownTopicChecks, topicChecks } from './topic-checks.js';
import { topicNames, topicOfAll } from './topic-name.js';
import type { KafkaOutput } from './writer.js';

/**
 * Can the log be written: brokers, what the user may do, and topics.
 * @param streamId absent: as far as it is the same for every stream
 */
export async function preflight(output: KafkaOutput, reached: Reached, streamId?: string): Promise<readonly Check[]> {
  const view = await reached.cluster.view([]);
  // Others answer: one that is down at this moment is no reason not to begin.
  const unreachable = (await reached.cluster.probe()).map(({ broker, error }) =>
    finding(
      error.recourse === 'retry' ? 'warning' : 'error',
      error.code,
      `Broker ${broker} of the log: ${error.message}`,
      error.code === 'host_forbidden' ? `Correct advertised.listeners of that broker. ${error.hint}` : error.hint,
    ),
  );
  // Whoever is asked next may be that one, and would say less of it.
  if (unreachable.some(({ severity }) => severity === 'error')) return unreachable;
  const rights = await ownRights(reached);
  return [
    ...unreachable,
    ...replication(output, view),
    ...rights,
    // What is missing for all of them is not told for each.
    ...(streamId === undefined || rights.length > 0 ? [] : await ownTopicChecks(streamId, reached)),
    ...(await outputChecks(output, reached, streamId)),
  ];
}

async function outputChecks(output: KafkaOutput, reached: Reached, streamId?: string): Promise<Check[]> {
  if (streamId === undefined) {
    const fixed = topicOfAll(output.topic, '{stream}');
    return fixed === output.topic ? topicChecks(fixed, output, reached) : [];
  }
  const names = topicNames(output.topic, streamId);
  return names.only === null ? namedChecks(names, output, reached) : topicChecks(names.only, output, reached);
}

/** What repeats of deliveries are looked up in must not forget. */
export const evictionChecks = ({ mayEvict }: Durability): Check[] =>
  mayEvict
    ? [
        finding(
          'warning',
          'log_may_evict',
          'The Redis of the system drops keys when its memory is full: repeats of deliveries to webhooks may not be known then.',
          'CONFIG SET maxmemory-policy noeviction',
        ),
      ]
    : [];

function replication({ createTopics }: KafkaOutput, { brokers }: ClusterView): Check[] {
  if (createTopics === undefined || createTopics.replicationFactor <= brokers.size) return [];
  const { replicationFactor } = createTopics;
  // A cluster tells of those that are up: one that is down must not keep a stream with topics from beginning.
  return [
    finding(
      'warning',
      'config_invalid',
      `createTopics.replicationFactor is ${replicationFactor}, and ${brokers.size} broker(s) of the cluster are up: no topic can be made.`,
      `Bring all brokers up, or set createTopics.replicationFactor to ${brokers.size} or less.`,
    ),
  ];
}
