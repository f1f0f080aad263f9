import { type Check, findingOf } from '@planasonix/core';
import { toStreamError, type KafkaCluster, type TopicView } from '@planasonix/kafka';
import type { Circles } from './circles.js';
import type { KafkaConfig } from './config.js';
import { offsetsWithout } from './opening.js';
import type { OwnOutput } from './own-output.js';
import type { SchemaSource } from './registry/schema-source.js';
import { partitionsOf, rangesOf, topicDenied, topicMissing, wantedTopics } from './partitions.js';

export interface PreflightInput {
  readonly cluster: KafkaCluster;
  readonly config: KafkaConfig;
  readonly user: string | null;
  /** The consumer group that people's tools look at. */
  readonly group: string;
  /** `null`: the stream has none. */
  readonly registry: SchemaSource | null;
  /** What it is not to read. */
  readonly own: OwnOutput;
  /** `null`: it can't be in one. */
  readonly circles: Circles | null;
  readonly signal: AbortSignal;
}

export const FETCH = { key: 1, version: 13 } as const;
const NOT_THERE = 3;
const DENIED = 29;
/** So many names stand in a message. */
const NAMED = 10;

const some = (names: readonly string[]): string =>
  names.slice(0, NAMED).join(', ') + (names.length > NAMED ? ', …' : '');

const info = (code: string, message: string): Check => ({ code, severity: 'info', message, fix: null });

export const finding = (error: unknown, doing: string): Check => findingOf(toStreamError(error, doing));

/** Fetches by topic id: what tells a topic that was made anew from the old one. */
export async function versionCheck(cluster: KafkaCluster): Promise<Check> {
  const ok = (await cluster.highest(FETCH.key)) >= FETCH.version;
  return ok
    ? info('version', 'The brokers read by topic id.')
    : {
        code: 'config_invalid',
        severity: 'error',
        message: 'The brokers are older than Kafka 3.1: topics have no ids there that could be read by.',
        fix: 'Upgrade the brokers to Kafka 3.1 or later.',
      };
}

/** Each broker has to be dialled sooner or later; that one of them is down at this moment is a warning. */
export async function brokerChecks(cluster: KafkaCluster): Promise<Check[]> {
  const wrong = await cluster.probe();
  return wrong.map(({ broker, error }) => ({
    code: error.code,
    severity: error.recourse === 'retry' ? 'warning' : 'error',
    message: `The cluster names the broker ${broker}. ${error.message}`,
    fix: error.code === 'host_forbidden' ? `Correct advertised.listeners of that broker. ${error.hint}` : error.hint,
  }));
}

/** A registry that is away now is waited for. */
async function registryCheck(registry: SchemaSource): Promise<Check> {
  try {
    await registry.get('schemas/types');
    return info('schema_registry', 'The schema registry answers.');
  } catch (error) {
    const found = finding(error, 'asking the schema registry');
    return found.code === 'source_unreachable' ? { ...found, severity: 'warning' } : found;
  }
}

/** The stream runs without it: only its progress does not show in other people's tools. */
async function groupCheck(cluster: KafkaCluster, group: string, user: string | null): Promise<Check[]> {
  try {
    await cluster.groupState(group);
    return [];
  } catch (error) {
    const { code } = toStreamError(error, 'looking at the group');
    if (code !== 'permission_denied') return [];
    const fix = `kafka-acls.sh --bootstrap-server … --add --allow-principal User:${user ?? 'ANONYMOUS'} --operation Read --operation Describe --operation Delete --group '${group}'`;
    const message = `The user may not write the group ${group}: tools that look at groups do not see how far the stream is.`;
    return [{ code, severity: 'warning', message, fix }];
  }
}

/** Who looks for them is told where they are. */
function passedOver(wanted: readonly TopicView[], read: readonly TopicView[]): Check[] {
  const own = wanted.filter((one) => !read.includes(one)).map(({ topic }) => topic);
  if (own.length === 0) return [];
  return [
    info(
      'topics',
      `topic_pattern matches topics that the stream itself writes to, which are passed over: ${some(own)}.`,
    ),
  ];
}

/** Whether reading has begun is not known here: from then on nobody asks for them. */
function startChecks(missing: readonly string[]): Check[] {
  if (missing.length === 0) return [];
  const message = `start.offsets names partitions that are not there: ${some(missing)}. A stream that has not begun can't begin.`;
  return [{ code: 'config_invalid', severity: 'warning', message, fix: 'Correct start.offsets.' }];
}

/** Can the stream run? Never throws. */
export async function preflight({
  cluster,
  config,
  user,
  group,
  registry,
  own,
  circles,
  signal,
}: PreflightInput): Promise<readonly Check[]> {
  const checks: Check[] = [];
  try {
    const wanted = await wantedTopics(cluster, config, signal);
    const topics = wanted.filter(({ topic }) => !own.has(topic));
    checks.push(info('reachable', 'The cluster answers.'), ...passedOver(wanted, topics), await versionCheck(cluster));
    checks.push(...(await brokerChecks(cluster)));
    if (circles !== null) checks.push(...(await circles.checks(topics.map(({ topic }) => topic))));
    if (registry !== null) checks.push(await registryCheck(registry));
    for (const { topic, error } of topics) {
      if (error === NOT_THERE) checks.push(finding(topicMissing(topic), 'looking'));
      else if (error === DENIED) checks.push(finding(topicDenied(topic, user), 'looking'));
    }
    const seen = topics.filter(({ error }) => error === 0).map(({ topic }) => topic);
    // Who may only look at a topic gets an answer for everything but its records.
    for (const { topic, may } of seen.length === 0 ? [] : (await cluster.rights(seen)).topics)
      if (may?.has('read') === false) checks.push(finding(topicDenied(topic, user), 'looking'));
    checks.push(...(await groupCheck(cluster, group, user)));
    if (config.pattern !== null && topics.every(({ error }) => error !== 0))
      checks.push({ ...info('topics', 'No topic matches topic_pattern yet.'), severity: 'warning' });
    if (checks.every(({ severity }) => severity !== 'error')) {
      const partitions = partitionsOf(topics, config, user);
      await rangesOf(cluster, partitions, signal);
      checks.push(info('topics', `${topics.length} topics, ${partitions.length} partitions.`));
      checks.push(...startChecks(offsetsWithout(config, partitions)));
    }
  } catch (error) {
    checks.push(finding(error, 'checking the source'));
  }
  return checks;
}
