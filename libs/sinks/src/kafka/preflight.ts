import type { Check } from '@planasonix/core';
import { topicSettings, type ClusterView, type TopicView } from '@planasonix/kafka';
import type { Durability } from '../redis-stream/durability.js';
import type { Reached } from './kafka-cluster.js';
import { ownRights, topicDenied, unreadable } from './rights.js';
import { topicOfAll } from './topic-name.js';
import type { KafkaOutput } from './writer.js';

const NO_SUCH_TOPIC = 3;
const DENIED = 29;
const MODEST_BYTES = 1_000_000;

const finding = (severity: Check['severity'], code: string, message: string, fix: string | null): Check => ({
  ...{ code, severity, message, fix },
});

/** Can the log be written: brokers, what the user may do, and the topic where it is the same for every stream. */
export async function preflight(output: KafkaOutput, reached: Reached): Promise<readonly Check[]> {
  const topic = topicOfAll(output.topic, '{stream}');
  const fixed = topic === output.topic ? topic : null;
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
  return [
    ...unreachable,
    ...replication(output, view),
    ...(await ownRights(reached)),
    ...(fixed === null ? [] : await topicChecks(fixed, output, reached)),
  ];
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

async function topicChecks(name: string, { createTopics }: KafkaOutput, { cluster, admin }: Reached): Promise<Check[]> {
  const topic = (await cluster.rights([name])).topics.find((one) => one.topic === name);
  if (topic?.error === DENIED) return [topicDenied(name, createTopics !== undefined)];
  if (topic === undefined || topic.error === NO_SUCH_TOPIC) {
    if (createTopics !== undefined) return (await admin.mayCreate(name)) ? [] : [topicDenied(name, true)];
    const fix = `kafka-topics.sh --create --topic ${name}; or set createTopics in the output of the pipeline.`;
    return [finding('error', 'topic_missing', `There is no topic ${name}.`, fix)];
  }
  const found: Check[] = [];
  if (topic.may?.has('write') === false) found.push(topicDenied(name, false));
  else if (topic.may?.has('read') === false) found.push(unreadable(name));
  const settings = await topicSettings(cluster, name);
  return settings === null ? found : [...found, ...settingChecks(topic, settings)];
}

function settingChecks({ topic, partitions }: TopicView, settings: ReadonlyMap<string, string>): Check[] {
  const found: Check[] = [];
  const inSync = Number(settings.get('min.insync.replicas') ?? 1);
  const replicas = Math.min(...partitions.map((one) => one.replicas));
  const alter = (setting: string) => `kafka-configs.sh --alter --topic ${topic} --add-config ${setting}`;
  if (inSync > replicas)
    found.push(
      finding(
        'error',
        'log_unavailable',
        `min.insync.replicas of ${topic} is ${inSync}, and it has ${replicas} replica(s): nothing can be written.`,
        alter(`min.insync.replicas=${Math.max(1, replicas - 1)}`),
      ),
    );
  else if (replicas > 1 && inSync === 1)
    found.push(
      finding(
        'warning',
        'log_not_durable',
        `min.insync.replicas of ${topic} is 1: what is acknowledged may be on one broker alone.`,
        alter('min.insync.replicas=2'),
      ),
    );
  const maxBytes = Number(settings.get('max.message.bytes') ?? MODEST_BYTES);
  if (maxBytes < MODEST_BYTES)
    found.push(
      finding(
        'warning',
        'message_too_large',
        `${topic} takes no more than ${maxBytes} bytes in one record: a larger event stops the stream.`,
        alter('max.message.bytes=1048588'),
      ),
    );
  if (/compact/.test(settings.get('cleanup.policy') ?? ''))
    found.push(
      finding(
        'info',
        'topic_compacted',
        `${topic} is compacted: of each key the last event stays, and events without a key are refused.`,
        null,
      ),
    );
  return found;
}
