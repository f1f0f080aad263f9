import { Kafka, logLevel, type Admin, type SASLOptions } from 'kafkajs';
import { CLIENT_ID, CONNECT_MS, type KafkaClient, type Reach } from '../client.js';
import { addressText } from '../config.js';
import { KafkaError } from '../connection-error.js';
import { socketFactory } from '../connection-socket.js';
import { logCreator } from './connection-log.js';
import { openLink } from './connection.js';

const REQUEST_MS = 20_000;

/** kafkajs 2.2.4 (pinned): its connections and logins one by one, and its administration of topics. */
export const kafkaJsClient: KafkaClient = {
  name: 'kafkajs',
  open: openLink,
  createTopic(of, { topic, partitions, replicationFactor, settings = {} }, { trial }) {
    const configEntries = Object.entries(settings).map(([name, value]) => ({ name, value }));
    return administer(of, `making the topic ${topic}`, (admin) =>
      admin.createTopics({
        ...{ validateOnly: trial, waitForLeaders: false },
        topics: [{ topic, numPartitions: partitions, replicationFactor, configEntries }],
      }),
    );
  },
  removeTopics: (of, topics) =>
    administer(of, 'removing topics', (admin) => admin.deleteTopics({ topics: [...topics] })),
};

async function administer<T>(of: Reach, doing: string, use: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = kafkaJs(of).admin();
  try {
    await admin.connect();
    return await use(admin);
  } catch (error) {
    const code = codeOf(error);
    throw code === null ? error : new KafkaError(code, doing);
  } finally {
    await admin.disconnect().catch(() => undefined);
  }
}

/** Every advertised address is judged by the outbound policy when it is dialled. */
function kafkaJs({ settings, outbound, log }: Reach): Kafka {
  return new Kafka({
    clientId: CLIENT_ID,
    brokers: settings.brokers.map(addressText),
    // kafkajs hands this to the socket factory and only asks whether it is there.
    ssl: settings.tls !== null,
    ...(settings.sasl === null ? {} : { sasl: { ...settings.sasl } as SASLOptions }),
    socketFactory: socketFactory(settings, outbound),
    connectionTimeout: CONNECT_MS,
    authenticationTimeout: CONNECT_MS,
    requestTimeout: REQUEST_MS,
    retry: { initialRetryTime: 20, maxRetryTime: 1000, retries: 2 },
    logLevel: logLevel.WARN,
    logCreator: logCreator(log),
  });
}

/** Of the protocol; kafkajs wraps what the broker said several times. */
function codeOf(error: unknown): number | null {
  for (let at = error, depth = 0; typeof at === 'object' && at !== null && depth < 6; depth++) {
    const code: unknown = Reflect.get(at, 'code');
    if (typeof code === 'number' && code > 0) return code;
    const errors: unknown = Reflect.get(at, 'errors');
    at = Array.isArray(errors) ? errors[0] : Reflect.get(at, 'cause');
  }
  return null;
}
