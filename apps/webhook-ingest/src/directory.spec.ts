import { StreamError, systemClock, type Held } from '@planasonix/core';
import type { ServedStream } from '@planasonix/store';
import { Directory, type DirectoryDeps } from './directory.js';
import type { Surroundings } from './verify/scheme-of.js';

const quiet = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const LEASE_MS = 3_000;

/** One stream that was started, in a store and a log that many instances share. */
class World {
  status: ServedStream['status'] = 'starting';
  token: string | null = 't';
  auth: object = { type: 'preset', preset: 'planasonix', secrets: ['a secret of some length'] };
  /** Addresses whose keys are kept. */
  readonly remoteKeys: Surroundings['remoteKeys'] = new Map();
  /** How long the store takes for each answer, which is of the time at which it was asked. */
  answerMs = 0;
  epoch = 0;
  begun = 0;
  looks = 0;
  #leaseEndsAt = 0;
  #logEpoch = 0;

  constructor(private readonly openingMs: number) {}

  instance(name: string): Directory {
    const { ledger, inlets, remoteKeys } = this;
    const outbound = { resolve: () => Promise.reject(new Error('There is no network')) };
    const around = { clock: systemClock, certificates: { header: null, direct: false }, outbound, remoteKeys };
    const deps = { instance: name, sourceType: 'webhook', ledger, inlets, around, clock: systemClock, log: quiet };
    return new Directory(deps as unknown as DirectoryDeps);
  }

  get #isDue(): boolean {
    return this.status === 'starting' && this.#leaseEndsAt <= Date.now();
  }

  get #version(): string {
    return `${this.token}:${this.epoch}:${this.status}${this.#isDue ? '!' : ''}${JSON.stringify(this.auth)}`;
  }

  #answered<T>(answer: T): Promise<T> {
    return systemClock.sleep(this.answerMs).then(() => answer);
  }

  /** As `InletLedger` has it. */
  private readonly ledger = {
    versions: () => {
      this.looks++;
      return this.#answered(new Map(this.token === null ? [] : [['str_1', this.#version]]));
    },
    streams: () =>
      this.#answered([
        {
          ...{ id: 'str_1', token: this.token, version: this.#version },
          ...{
            config: { auth: this.auth },
            sealed: null,
            output: {},
            desired: 'running',
            generation: 1,
          },
          ...{ status: this.status, epoch: this.epoch, isDue: this.#isDue },
        },
      ]),
    beginOpening: () => {
      if (!this.#isDue) return Promise.resolve(null);
      this.#leaseEndsAt = Date.now() + LEASE_MS;
      this.begun++;
      return Promise.resolve({ held: { streamId: 'str_1', epoch: ++this.epoch }, generation: 1, mark: null });
    },
    keepOpening: ({ epoch }: Held) => {
      if (epoch === this.epoch && this.#leaseEndsAt > Date.now()) this.#leaseEndsAt = Date.now() + LEASE_MS;
      return Promise.resolve();
    },
    opened: ({ epoch }: Held) => {
      if (epoch !== this.epoch) return Promise.resolve(false);
      this.status = 'running';
      return Promise.resolve(true);
    },
    notOpened: ({ epoch }: Held) => {
      if (epoch === this.epoch) this.#leaseEndsAt = 0;
      return Promise.resolve();
    },
  };

  /** Whoever begins bars whoever is at it with a lower epoch. */
  private readonly inlets = {
    of: () => ({
      open: async (_id: string, epoch: number) => {
        this.#logEpoch = Math.max(this.#logEpoch, epoch);
        await systemClock.sleep(this.openingMs);
        if (epoch < this.#logEpoch) throw new StreamError('fenced', 'The log has a newer owner of this stream');
        return 'mark';
      },
    }),
  };
}

describe('a log that takes longer to open than an opening is waited for', () => {
  beforeEach(() => jest.useFakeTimers());
  afterEach(() => jest.useRealTimers());

  /** What becomes of a stream that two instances see, within a time. */
  async function after(ms: number, openingMs: number): Promise<World> {
    const world = new World(openingMs);
    const instances = ['one', 'two'].map((name) => world.instance(name));
    for (const instance of instances) instance.start();
    await jest.advanceTimersByTimeAsync(ms);
    for (const instance of instances) instance.stop();
    return world;
  }

  it('is opened once: instances do not bar each other in turn (Invariant 7)', async () => {
    const { status, begun } = await after(20_000, 5_000);
    expect({ status, begun }).toEqual({ status: 'running', begun: 1 });
  });

  it('is left to another instance where it hangs', async () => {
    expect((await after(90_000, 80_000)).begun).toBe(2);
  });
});

describe('an address that is not known', () => {
  beforeEach(() => jest.useFakeTimers());
  afterEach(() => jest.useRealTimers());

  it('is looked for in the store within 0.2 s, however many ask no more than five times a second', async () => {
    const world = new World(0);
    world.status = 'running';
    const directory = world.instance('one');
    let found = 0;
    for (let asked = 0; asked < 100; asked++) {
      void directory.lookForStrangers().then(() => found++);
      await jest.advanceTimersByTimeAsync(10);
    }
    await jest.advanceTimersByTimeAsync(200);
    expect({ found, looks: world.looks }).toEqual({ found: 100, looks: 6 });
    expect(directory.byToken('t')?.isOpen).toBe(true);
  });
});

describe('what changes in the store takes effect within a second, without a bell', () => {
  beforeEach(() => jest.useFakeTimers());
  afterEach(() => jest.useRealTimers());

  const isServed = (directory: Directory, token: string) => directory.byToken(token)?.isOpen === true;
  const changes: readonly (readonly [string, (world: World) => void, (directory: Directory) => boolean])[] = [
    ['a start', (world) => (world.status = 'running'), (directory) => isServed(directory, 't')],
    ['a pause', (world) => (world.status = 'paused'), (directory) => !isServed(directory, 't')],
    ['a roll', (world) => (world.token = 'u'), (directory) => isServed(directory, 'u') && !isServed(directory, 't')],
    ['a deletion', (world) => (world.token = null), (directory) => directory.byId('str_1') === null],
  ];

  it.each(changes)('%s, whenever it falls, also where the store takes 0.1 s for each answer', async (_, change, is) => {
    for (let fallsAt = 2_000; fallsAt < 3_000; fallsAt += 50) {
      const world = new World(0);
      world.status = change === changes[0]![1] ? 'stopped' : 'running';
      world.answerMs = 100;
      const directory = world.instance('one');
      directory.start();
      await jest.advanceTimersByTimeAsync(fallsAt);
      expect([fallsAt, is(directory)]).toEqual([fallsAt, false]);
      change(world);
      await jest.advanceTimersByTimeAsync(1_000);
      expect([fallsAt, is(directory)]).toEqual([fallsAt, true]);
      directory.stop();
    }
  });
});

it('keys of an address are kept over a change of the stream, and go with the last one that names it', async () => {
  const world = new World(0);
  world.status = 'running';
  const jwt = (host: string, audience: string) => ({
    ...{ type: 'jwt', jwks_url: `https://${host}/keys`, issuer: 'https://issuer.example', audience },
    algorithms: ['RS256'],
  });
  const directory = world.instance('one');
  const seenAfter = async (change: () => void) => {
    change();
    await directory.look();
    return [...world.remoteKeys];
  };
  const first = await seenAfter(() => (world.auth = jwt('a.example', 'one')));
  expect(first.map(([url]) => url)).toEqual(['https://a.example/keys']);
  const [[, kept]] = (await seenAfter(() => (world.auth = jwt('a.example', 'two')))) as [[string, unknown]];
  expect(kept).toBe(first[0]![1]);
  const moved = await seenAfter(() => (world.auth = jwt('b.example', 'two')));
  expect(moved.map(([url]) => url)).toEqual(['https://b.example/keys']);
  expect(await seenAfter(() => (world.token = null))).toEqual([]);
});
