import type { KafkaCluster } from './client-cluster.js';
import type { WireReader } from './client-wire.js';
import type { Call } from './client.js';
import { KafkaError, toStreamError } from './connection-error.js';
import { askAny } from './producer-ask.js';

/** `null`: as the brokers are set. */
export type SettingChanges = Readonly<Record<string, string | null>>;

interface Setting {
  readonly name: string;
  readonly value: string;
  /** Somebody has set it for this topic. */
  readonly own: boolean;
}

const TOPIC = 2;
const OF_THE_TOPIC = 1;
const SET = 0;
const DELETE = 1;

/** `null`: there is no such topic, or it may not be looked at. */
const settingsCall = (topic: string): Call<readonly Setting[] | null> => ({
  name: 'DescribeConfigs',
  key: 32,
  versions: [4],
  encode: (to) =>
    to
      .array([topic], (name) =>
        to
          .int8(TOPIC)
          .string(name)
          .array(null, () => undefined)
          .tags(),
      )
      .bool(false)
      .bool(false)
      .tags(),
  decode(from) {
    from.int32();
    const [found] = from.array(() => {
      const error = from.int16();
      from.nullableString();
      from.int8();
      from.string();
      const settings = from.array(() => settingOf(from));
      from.tags();
      return error === 0 ? settings : null;
    });
    return found ?? null;
  },
});

function settingOf(from: WireReader): Setting {
  const [name, value] = [from.string(), from.string()];
  from.bool(); // read only
  const own = from.int8() === OF_THE_TOPIC;
  from.bool(); // secret
  from.array(() => {
    from.string();
    from.nullableString();
    from.int8();
    from.tags();
  });
  from.int8(); // its type
  from.nullableString();
  from.tags();
  return { name, value, own };
}

/** One by one: AlterConfigs, which kafkajs has, takes back all that it does not name. */
const changeCall = (topic: string, changes: SettingChanges): Call<void> => ({
  name: 'IncrementalAlterConfigs',
  key: 44,
  versions: [1],
  encode: (to) =>
    to
      .array([topic], (name) => {
        to.int8(TOPIC).string(name);
        to.array(Object.entries(changes), ([setting, value]) =>
          to
            .string(setting)
            .int8(value === null ? DELETE : SET)
            .string(value)
            .tags(),
        );
        to.tags();
      })
      .bool(false)
      .tags(),
  decode(from) {
    from.int32();
    from.array(() => {
      const error = from.int16();
      from.nullableString();
      from.int8();
      from.string();
      from.tags();
      if (error !== 0) throw new KafkaError(error, `setting the topic ${topic}`);
    });
  },
});

/**
 * As they hold for the topic: its own and the brokers', or its own alone. `null`: there is none, or it may not be looked
 * at.
 */
export async function topicSettings(
  cluster: KafkaCluster,
  topic: string,
  whose: 'all' | 'own' = 'all',
): Promise<ReadonlyMap<string, string> | null> {
  try {
    const found = await askAny(cluster, settingsCall(topic));
    if (found === null) return null;
    return new Map(found.filter(({ own }) => own || whose === 'all').map(({ name, value }) => [name, value]));
  } catch (error) {
    throw toStreamError(error, `looking at the settings of ${topic}`);
  }
}

/** Settings that are not named stay as they are. @throws StreamError */
export async function changeSettings(cluster: KafkaCluster, topic: string, changes: SettingChanges): Promise<void> {
  try {
    await askAny(cluster, changeCall(topic, changes));
  } catch (error) {
    throw toStreamError(error, `setting the topic ${topic}`);
  }
}
