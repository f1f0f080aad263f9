import { consumeQueues, type AskJob } from '@planasonix/lifecycle';
import { openStore, WorkerStore, type Announcement } from '@planasonix/store';

const SCHEMA = {
  type: 'object',
  additionalProperties: false,
  required: ['tables'],
  properties: {
    tables: { type: 'array', minItems: 1, items: { type: 'string', pattern: String.raw`^\w+\.(?:\w+|\*)$` } },
    publication: { type: 'string', pattern: '^[A-Za-z_][A-Za-z0-9_$]{0,62}$' },
    exclude_tables: { type: 'array', items: { type: 'string' } },
    slot_name: {
      type: 'string',
      pattern: '^[a-z_][a-z0-9_]{0,62}$',
      description: 'Lower-case letters, digits and _.',
      'x-exclusive': true,
    },
    signing: {
      type: 'object',
      additionalProperties: false,
      properties: { secret: { type: 'string', writeOnly: true, minLength: 4 } },
    },
  },
};

const POSTGRES = { id: 'w1', sourceType: 'postgres_cdc', connectionTypes: ['postgres'], configSchema: SCHEMA };

const secret = { type: 'string', minLength: 1, writeOnly: true };
const strings = { type: 'array', items: { type: ['string', 'null'] } };
/** Streams that take deliveries in, with their secrets in a list or beside a name. */
export const WEBHOOK = {
  id: 'w2',
  sourceType: 'webhook',
  connectionTypes: [],
  configSchema: {
    type: 'object',
    'x-ingest': true,
    required: ['auth'],
    properties: {
      auth: {
        type: 'object',
        properties: {
          type: { type: 'string' },
          tokens: { type: 'array', items: { type: 'string' }, writeOnly: true },
          tokens_until: strings,
          secrets: { type: 'array', items: { type: 'string' }, writeOnly: true },
          secrets_until: strings,
          secret_encoding: { type: 'string' },
          users: {
            type: 'array',
            items: { type: 'object', properties: { username: { type: 'string' }, password: secret } },
          },
        },
      },
      max_body_bytes: { type: 'integer' },
    },
  },
};

export interface FakeWorker {
  /** Every job that came over the queues, as text. */
  readonly jobs: string[];
  answer: (job: AskJob) => Promise<unknown>;
  /** Announced, but no longer live. */
  leave(): Promise<void>;
  end(): Promise<void>;
}

/** A worker that only announces itself and answers questions: what the gateway sees of one. */
export async function startWorker(
  databaseUrl: string,
  redisUrl: string,
  type: Omit<Announcement, 'host' | 'pid'> = POSTGRES,
): Promise<FakeWorker> {
  const silent = { debug() {}, info() {}, warn() {}, error() {} };
  const store = await openStore(databaseUrl, { log: silent, poolSize: 2 });
  const workers = new WorkerStore(store);
  const announcement = { ...type, host: 'h', pid: 1 };
  await workers.announce(announcement);
  const beat = setInterval(() => void workers.heartbeat(announcement).catch(() => undefined), 1000);
  const jobs: string[] = [];
  const worker: FakeWorker = {
    jobs,
    answer: () => Promise.resolve({ ok: true, checks: [] }),
    leave: async () => {
      clearInterval(beat);
      await workers.forget(type.id);
    },
    end: async () => {
      clearInterval(beat);
      await queues.close();
      await store.destroy().catch(() => undefined);
    },
  };
  const queues = consumeQueues(redisUrl, type.sourceType, {
    look: (job) => {
      jobs.push(JSON.stringify(job));
      return Promise.resolve();
    },
    answer: (job) => {
      jobs.push(JSON.stringify(job));
      return worker.answer(job);
    },
  });
  return worker;
}
