import type { Check, LogTopics } from '@planasonix/core';
import { topicSettings, type TopicView } from '@planasonix/kafka';
import { journalTopic } from './journal.js';
import type { Reached } from './kafka-cluster.js';
import { creationDenied, ownTopicsDenied, topicDenied, unasked, unreadable } from './rights.js';
import { seenTopic } from './seen-topic.js';
import type { KafkaOutput } from './writer.js';

const NO_SUCH_TOPIC = 3;
const DENIED = 29;
const MODEST_BYTES = 1_000_000;
/** Of those whose names only fit: so many are looked at. */
const MOST_LOOKS = 20;
/** What stands for a table in a name: whether one like it may be made. */
const TRIAL = 'planasonix.preflight';

export const finding = (severity: Check['severity'], code: string, message: string, fix: string | null): Check => ({
  ...{ code, severity, message, fix },
});

/** Of the topic that all events of a stream go to. */
export async function topicChecks(name: string, { createTopics }: KafkaOutput, reached: Reached): Promise<Check[]> {
  const topic = await rightsOf(name, reached);
  if (topic?.error === DENIED) return [topicDenied(name, createTopics !== undefined)];
  if (topic === null) {
    if (createTopics !== undefined) return (await reached.admin.mayCreate(name)) ? [] : [topicDenied(name, true)];
    const fix = `kafka-topics.sh --create --topic ${name}; or set createTopics in the output of the pipeline.`;
    return [finding('error', 'topic_missing', `There is no topic ${name}.`, fix)];
  }
  return thereChecks(topic, reached);
}

/**
 * Where the topic depends on the event: of those there that it may be. None is sure to be the stream's, so what is wrong
 * with one is a warning.
 */
export async function namedChecks(
  names: Pick<LogTopics, 'of' | 'may'>,
  { topic: template, createTopics }: KafkaOutput,
  reached: Reached,
): Promise<Check[]> {
  const { topics } = await reached.cluster.view(null);
  const fitting = topics.filter(({ topic, internal }) => !internal && names.may(topic)).map(({ topic }) => topic);
  const found: Check[] = [];
  if (createTopics !== undefined) {
    // Where names begin is not said: a right to some of them can't be told from one to none.
    const begins = /^(?!\{(schema|table|topic)\})/.test(template);
    if (begins && !(await reached.admin.mayCreate(names.of(TRIAL)))) found.push(creationDenied(template));
  } else if (fitting.length === 0) {
    const fix = 'Create one for each table; or set createTopics in the output of the pipeline.';
    found.push(finding('error', 'topic_missing', `There is no topic of a name like ${template}.`, fix));
  }
  // Of others it can't be told whether they have to do with the stream: {topic} fits all.
  if (/[A-Za-z0-9]/.test(template.replace(/\{(schema|table|topic)\}/g, '')))
    for (const name of fitting.slice(0, MOST_LOOKS)) {
      const topic = await rightsOf(name, reached);
      if (topic?.error === 0) found.push(...(await thereChecks(topic, reached)));
    }
  return found.map((check) => (check.severity === 'error' ? { ...check, severity: 'warning' } : check));
}

/** Of the topics of ours that a stream has already: where it is, and what deliveries it has taken in. */
export async function ownTopicChecks(streamId: string, reached: Reached): Promise<Check[]> {
  const found: Check[] = [];
  for (const [name, policy] of [
    [journalTopic(streamId), 'compact'],
    [seenTopic(streamId), 'compact,delete'],
  ] as const) {
    const topic = await rightsOf(name, reached);
    if (topic === null) continue;
    if (topic.error === DENIED || topic.may?.has('write') === false || topic.may?.has('read') === false)
      return [ownTopicsDenied(name)];
    const settings = await topicSettings(reached.cluster, name);
    if (settings === null) continue;
    if ((settings.get('cleanup.policy') ?? '').split(',').sort().join() !== policy)
      found.push(
        finding(
          'warning',
          'log_not_durable',
          `cleanup.policy of ${name} is ${settings.get('cleanup.policy')}: the log will forget how far the stream is.`,
          alter(name, `cleanup.policy=[${policy}]`),
        ),
      );
    found.push(...replicaChecks(topic, settings));
  }
  return found;
}

/** `null`: there is none. */
async function rightsOf(name: string, { cluster }: Reached): Promise<TopicView | null> {
  const topic = (await cluster.rights([name])).topics.find((one) => one.topic === name);
  return topic === undefined || topic.error === NO_SUCH_TOPIC ? null : topic;
}

async function thereChecks(topic: TopicView, { cluster }: Reached): Promise<Check[]> {
  const found: Check[] = [];
  const mayWrite = topic.may?.has('write') !== false;
  if (!mayWrite) found.push(topicDenied(topic.topic, false));
  else if (topic.may?.has('read') === false) found.push(unreadable(topic.topic));
  const settings = await topicSettings(cluster, topic.topic);
  // The rights that are missing for writing are told together with this one.
  if (settings === null) return mayWrite ? [...found, unasked(topic.topic)] : found;
  return [...found, ...replicaChecks(topic, settings), ...recordChecks(topic, settings)];
}

const alter = (topic: string, setting: string): string =>
  `kafka-configs.sh --alter --topic ${topic} --add-config ${setting}`;

function replicaChecks({ topic, partitions }: TopicView, settings: ReadonlyMap<string, string>): Check[] {
  const inSync = Number(settings.get('min.insync.replicas') ?? 1);
  const replicas = Math.min(...partitions.map((one) => one.replicas));
  if (inSync > replicas)
    return [
      finding(
        'error',
        'log_unavailable',
        `min.insync.replicas of ${topic} is ${inSync}, and it has ${replicas} replica(s): nothing can be written.`,
        alter(topic, `min.insync.replicas=${Math.max(1, replicas - 1)}`),
      ),
    ];
  if (replicas > 1 && inSync === 1)
    return [
      finding(
        'warning',
        'log_not_durable',
        `min.insync.replicas of ${topic} is 1: what is acknowledged may be on one broker alone.`,
        alter(topic, 'min.insync.replicas=2'),
      ),
    ];
  return [];
}

function recordChecks({ topic }: TopicView, settings: ReadonlyMap<string, string>): Check[] {
  const found: Check[] = [];
  const maxBytes = Number(settings.get('max.message.bytes') ?? MODEST_BYTES);
  if (maxBytes < MODEST_BYTES)
    found.push(
      finding(
        'warning',
        'message_too_large',
        `${topic} takes no more than ${maxBytes} bytes in one record: a larger event stops the stream.`,
        alter(topic, 'max.message.bytes=1048588'),
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
