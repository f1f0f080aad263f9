import { StreamError, type JsonSchema } from '@planasonix/core';
import { z } from 'zod';
import { topicPattern, type TopicPattern } from './topic-pattern.js';

const topic = z.string().regex(/^[A-Za-z0-9._-]{1,249}$/, 'is not the name of a topic');

const schema = z.strictObject({
  topics: z
    .array(topic)
    .max(1000)
    .default([])
    .meta({
      description: 'Names of topics. One of them that is not there is `topic_missing`.',
      examples: [['orders']],
    }),
  topic_pattern: z
    .string()
    .max(256)
    .nullable()
    .default(null)
    .meta({
      description:
        'A regular expression for whole names, without groups. Topics that match later start at their first record; those that the stream itself writes to are passed over.',
      examples: ['shop\\.[a-z]+'],
    }),
  start: z
    .union([
      z.enum(['earliest', 'latest']),
      z.strictObject({ timestamp: z.iso.datetime({ offset: true }) }),
      z.strictObject({ offsets: z.record(topic, z.record(z.string().regex(/^\d{1,6}$/), z.int().min(0))) }),
    ])
    .default('earliest')
    .meta({
      description:
        'For partitions without a position of ours. A partition that `offsets` does not name, and every one that comes later, starts at its first record. One that `offsets` names and that is not there is refused.',
      examples: ['earliest', { timestamp: '2026-01-31T00:00:00Z' }, { offsets: { orders: { '0': 42 } } }],
    }),
  max_tasks: z
    .int()
    .min(1)
    .max(64)
    .default(8)
    .meta({ description: 'Workers that read the partitions of the stream, at the most.', examples: [8] }),
  format: z
    .enum(['auto', 'json', 'text', 'base64', 'avro', 'json_schema', 'protobuf'])
    .default('auto')
    .meta({
      description:
        'Of values. `auto`: JSON as the text that came, else UTF-8 text, else base64; with a registry, values that begin with the id of a schema are decoded by it. `avro`, `json_schema`, `protobuf`: by the registry. A value that does not fit a fixed format, or its schema, is set aside.',
      examples: ['auto'],
    }),
  schema_registry: z
    .strictObject({
      url: z
        .url({ protocol: /^https?$/ })
        .max(1000)
        // It is shown as it is: a password belongs into `auth`.
        .refine((url) => !/^[a-z]+:\/\/[^/?#]*@/i.test(url), 'has a user or password in it: give them in auth'),
      auth: z
        .union([
          z.strictObject({ username: z.string().min(1), password: z.string().meta({ writeOnly: true }) }),
          z.strictObject({ token: z.string().min(1).meta({ writeOnly: true }) }),
        ])
        .optional(),
    })
    .optional()
    .meta({
      description: "A registry of schemas for values in Confluent's wire format; decoded to JSON, with every digit.",
      examples: [{ url: 'https://registry.example.com', auth: { username: 'cdc', password: '…' } }],
    }),
});

export type KafkaConfig = z.output<typeof schema> & { readonly pattern: TopicPattern | null };

/** As announced to the gateway. */
export const configJsonSchema: JsonSchema = z.toJSONSchema(schema, { target: 'draft-2020-12', io: 'input' });

const wrong = (message: string) => new StreamError('config_invalid', message);

/** @throws StreamError `config_invalid` with every problem. */
export function parseConfig(raw: unknown): KafkaConfig {
  const parsed = schema.safeParse(raw);
  if (!parsed.success) {
    const problems = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'config'}: ${issue.message}`);
    throw wrong(problems.join('; '));
  }
  const config = parsed.data;
  const pattern = config.topic_pattern === null ? null : topicPattern(config.topic_pattern);
  if (config.topic_pattern !== null && pattern === null)
    throw wrong('topic_pattern: write letters, digits, ".", "\\.", classes such as [a-z], *, +, ? and "|"; no groups.');
  if (config.topics.length === 0 && pattern === null) throw wrong('topics: name a topic, or give topic_pattern.');
  if (['avro', 'json_schema', 'protobuf'].includes(config.format) && config.schema_registry === undefined)
    throw wrong('format: give schema_registry, which this format needs.');
  const whole = { ...config, pattern };
  const stray = offsetsOf(whole).find(({ topic }) => !isWanted(whole, topic, false));
  if (stray !== undefined)
    throw wrong(`start.offsets: the stream does not read ${stray.topic}: name it in topics, or leave it out here.`);
  return whole;
}

/** Where the config says to start, partition by partition. */
export const offsetsOf = ({ start }: Pick<KafkaConfig, 'start'>): readonly StartOffset[] =>
  typeof start === 'object' && 'offsets' in start
    ? Object.entries(start.offsets).flatMap(([topic, offsets]) =>
        Object.entries(offsets).map(([index, offset]) => ({ topic, partition: Number(index), offset })),
      )
    : [];

export interface StartOffset {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

/** Positions, counters and ids of ours: a stream from Kafka to Kafka that read them would feed itself with each commit. */
const OWN_TOPICS = 'planasonix.';

/** Is this topic one of the stream's? The brokers' own topics, and ours, are only where they are named. */
export const isWanted = (
  { topics, pattern }: Pick<KafkaConfig, 'topics' | 'pattern'>,
  topic: string,
  internal: boolean,
): boolean =>
  topics.includes(topic) || (!internal && !topic.startsWith(OWN_TOPICS) && pattern !== null && pattern.test(topic));
