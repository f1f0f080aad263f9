import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { systemClock, type Clock } from '@planasonix/core';
import { received } from './answer.js';
import type { Door } from './door.js';
import { LARGEST_BODY } from './config.js';
import { Ingest, type IngestDeps } from './ingest.js';
import { Tally } from './tally.js';
import { Turns } from './turns.js';
import { refused } from './verify/scheme.js';
import { SignatureScheme, type SignatureRule } from './verify/signature.js';
import { openScheme } from './verify/tokens.js';
import { vendors } from './vendors/index.js';

const posted = (body: Buffer): IncomingMessage =>
  Object.assign(Readable.from([body]), {
    ...{ method: 'POST', url: '/ingest/t', headers: { 'x-signature': '00' }, rawHeaders: [], complete: true },
  }) as unknown as IncomingMessage;

const stopped = (scheme: Door['scheme']): Door =>
  ({ id: 'str_x', isOpen: false, row: { token: 't' }, scheme }) as unknown as Door;

/**
 * One request to an address where nothing is taken in.
 * @param made what a look at the store finds there
 * @returns how long it is held back, ms; whether it was answered before that; and what it was answered
 */
async function held(door: Door | null, body: Buffer, made: Door | null = null) {
  let [letGo, isAnswered] = [() => {}, false];
  let asked = (_ms: number) => {};
  const ms = new Promise<number>((resolve) => (asked = resolve));
  const sleep = (time: number) => {
    asked(time);
    return new Promise<boolean>((woken) => (letGo = () => woken(true)));
  };
  const clock: Clock = { ...systemClock, sleep };
  const tally = new Tally();
  let known = door;
  const look = async () => void (known = made ?? door);
  const ingest = new Ingest({
    directory: { byToken: () => known, unserved: () => null, look, lookForStrangers: look, byId: () => known },
    reporter: { of: () => tally },
    strays: { count: () => {} },
    ...{ storing: null, clock, publicBase: 'http://hooks', peers: null, addressRate: 0 },
  } as unknown as IngestDeps);
  const answer = ingest.answer(posted(body), 't').then(({ status }) => {
    isAnswered = true;
    return status;
  });
  const found = await ms;
  // Whatever is judged meanwhile is done then.
  await new Promise(setImmediate);
  const early = isAnswered;
  letGo();
  return { ms: found, early, status: await answer };
}

describe('a stranger is answered no sooner than any proof is judged, for what is stopped as for what is not there', () => {
  const own: SignatureRule = {
    ...{ algorithm: 'sha512', encoding: 'hex', headers: ['x-signature'], form: { kind: 'whole', prefix: '' } },
    signed: '{body}',
  };
  const mailgun = vendors.get('mailgun')!.proof as SignatureRule;
  const doors: readonly (readonly [string, Door | null])[] = [
    ['nobody’s address', null],
    ['one that takes no time', stopped(new SignatureScheme(mailgun, ['a secret']))],
    ['three keys that are tried', stopped(new SignatureScheme(own, ['one', 'two', 'three']))],
    ['a proof that never comes', stopped({ proofHeaders: [], verify: () => new Promise(() => undefined) })],
  ];

  it.each(doors)('%s', async (_, door) => {
    expect(await held(door, Buffer.from('{}'))).toEqual({ ms: expect.closeTo(250, 0), early: false, status: 404 });
    expect(await held(door, Buffer.alloc(10_000_000))).toEqual({ ms: 450, early: false, status: 404 });
  });

  it('one that was made just now is found, and tells a stranger nothing either', async () => {
    const body = Buffer.from('{}');
    expect(await held(null, body, stopped(new SignatureScheme(own, ['one'])))).toMatchObject({
      early: false,
      status: 404,
    });
    expect(await held(null, body, stopped(openScheme))).toMatchObject({ early: true, status: 503 });
  });

  it('whoever has proved itself is told at once that the stream does not run', async () => {
    expect(await held(stopped(openScheme), Buffer.from('{}'))).toMatchObject({ early: true, status: 503 });
  });
});

const doorAt = (id: string, of: Partial<Door> = {}): Door =>
  ({
    ...{ id, name: id, isOpen: true, row: { token: id, workspaceId: id }, scheme: openScheme, handshake: null },
    ...{ windowMs: 1, queueMs: 1, hidden: new Set(), places: { eventId: null, idIsSigned: false, eventType: null } },
    config: { max_body_bytes: LARGEST_BODY, expand_array: false },
    ...of,
  }) as unknown as Door;

/** @param stored is asked where a delivery goes into the log of a stream */
function ingestOf(all: readonly Door[], stored: (id: string) => Promise<void> = () => Promise.resolve()) {
  const doors = new Map(all.map((door) => [door.id, door]));
  const tallies = new Map(all.map(({ id }) => [id, new Tally()]));
  return new Ingest({
    directory: {
      byToken: (token: string) => doors.get(token) ?? null,
      ...{ unserved: () => null, lookForStrangers: () => Promise.resolve() },
    },
    reporter: { of: ({ id }: Door) => tallies.get(id)! },
    strays: { count: () => {} },
    storing: {
      store: async ({ id }: Door, { intake }: { intake: { id: string } }) => {
        await stored(id);
        return received(intake.id, { events: null, eventId: null });
      },
    },
    clock: { ...systemClock, monotonic: () => 0 },
    ...{ publicBase: 'http://hooks', peers: null, addressRate: 0 },
  } as unknown as IngestDeps);
}

it('a flood of one stream does not stand before the delivery of another', async () => {
  const order: string[] = [];
  const ingest = ingestOf(
    ['flooded', 'other'].map((id) => doorAt(id)),
    (id) => {
      order.push(id);
      return Promise.resolve();
    },
  );
  const flood = Array.from({ length: 60 }, (_, i) => ingest.answer(posted(Buffer.from(`${i}`)), 'flooded'));
  const other = ingest.answer(posted(Buffer.from('{}')), 'other');
  expect((await Promise.all([other, ...flood])).map(({ status }) => status)).toEqual(Array<number>(61).fill(200));
  expect(order.indexOf('other')).toBeLessThan(16);
});

it('a body that was packed waits for its turn as what it was sent as, and as what it has become', async () => {
  const take = jest.spyOn(Turns.prototype, 'take');
  try {
    const [plain, packed] = [Buffer.alloc(1_000_000, '1'), gzipSync(Buffer.alloc(1_000_000, '1'))];
    const ingest = ingestOf([doorAt('one')]);
    const sent = Object.assign(posted(packed), { headers: { 'content-encoding': 'gzip' } });
    expect((await ingest.answer(sent, 'one')).status).toBe(200);
    expect((await ingest.answer(posted(plain), 'one')).status).toBe(200);
    expect(take.mock.calls).toEqual([
      ['one', packed.length],
      ['one', plain.length],
      ['one', plain.length],
    ]);
  } finally {
    take.mockRestore();
  }
});

/** Proved by its signature, which is `right`. */
const signed: Partial<Door> = {
  scheme: {
    proofHeaders: [],
    verify: (request) =>
      request.header('x-signature') === 'right' ? openScheme.verify(request) : refused('signature_wrong'),
  },
};
const proved = (body: Buffer): IncomingMessage => Object.assign(posted(body), { headers: { 'x-signature': 'right' } });

it('whoever has no proof uses up nothing of what a stream may take in a second', async () => {
  const config = { ...doorAt('').config, rate_limit_per_second: 1 };
  const ingest = ingestOf([doorAt('limited', { ...signed, config })]);
  const statuses = [];
  for (const request of [posted, posted, posted, proved, proved, posted])
    statuses.push((await ingest.answer(request(Buffer.from('{}')), 'limited')).status);
  expect(statuses).toEqual([401, 401, 401, 200, 429, 401]);
});

describe('what is held of bodies', () => {
  const MB = 1024 * 1024;
  const largest = Buffer.alloc(50 * MB, 'x');
  const body = (mb: number) => largest.subarray(0, mb * MB);

  /** Has sent so much of its body, and does not end. */
  async function stalled(ingest: Ingest, token: string, mb: number): Promise<void> {
    const sent = new Readable({ read: () => undefined, highWaterMark: Number.MAX_SAFE_INTEGER });
    const request = Object.assign(sent, {
      ...{ method: 'POST', url: '/', headers: {}, rawHeaders: [], complete: false },
    });
    void ingest.answer(request as unknown as IncomingMessage, token);
    sent.push(body(mb));
    await new Promise(setImmediate);
    unended.push(sent);
  }
  const unended: Readable[] = [];
  afterEach(() => unended.splice(0).forEach((one) => one.destroy()));

  it('of strangers leaves others theirs, whether they know the address of one stream or of none', async () => {
    const ingest = ingestOf([doorAt('known', signed), doorAt('other', signed)]);
    for (const token of ['nobody’s', 'known']) for (const mb of [50, 50, 50, 6, 3, 1]) await stalled(ingest, token, mb);
    expect((await ingest.answer(proved(body(45)), 'other')).status).toBe(200);
  });

  const names = (n: number) => Array.from({ length: n }, (_, i) => `known ${i}`);
  const inWorkspace = (id: string, workspaceId: string) =>
    doorAt(id, { ...signed, row: { token: id, workspaceId } as Door['row'] });
  /** As much as anybody may without a proof. */
  const fill = async (ingest: Ingest, token: string) => {
    for (const mb of [32, 16, 8, 4, 2, 1, 1]) await stalled(ingest, token, mb);
  };
  const answerOf = async (ingest: Ingest, token: string, mb: number) =>
    (await ingest.answer(proved(body(mb)), token)).status;

  it('of strangers who know more addresses than fill it leaves another stream as much as each of those has', async () => {
    const ingest = ingestOf([...names(8).map((id) => doorAt(id, signed)), doorAt('other', signed)]);
    for (const id of names(8)) await fill(ingest, id);
    for (let round = 0; round < 5; round++) {
      expect([await answerOf(ingest, 'other', 12), await answerOf(ingest, 'other', 45)]).toEqual([200, 503]);
      await fill(ingest, names(8)[round]!);
    }
  });

  it('of strangers who know all addresses of a workspace leaves the largest body to another one, and some to its other streams', async () => {
    const doors = names(30).map((id) => inWorkspace(id, 'one'));
    const ingest = ingestOf([...doors, inWorkspace('beside', 'one'), inWorkspace('other', 'two')]);
    for (const id of names(30)) await fill(ingest, id);
    expect([await answerOf(ingest, 'other', 45), await answerOf(ingest, 'beside', 1)]).toEqual([200, 200]);
  });

  it('of a workspace whose proofs take long leaves another one theirs', async () => {
    const slow = { proofHeaders: [], verify: () => new Promise<never>(() => undefined) };
    const doors = names(4).map((id) => ({ ...inWorkspace(id, 'one'), scheme: slow }));
    const ingest = ingestOf([...doors, inWorkspace('other', 'two')]);
    for (const id of names(4)) for (const mb of [45, 10, 5, 2]) void ingest.answer(posted(body(mb)), id);
    await new Promise(setImmediate);
    expect(await answerOf(ingest, 'other', 45)).toBe(200);
  });

  it('of a workspace whose deliveries wait for its logs leaves another one theirs', async () => {
    let [waiting, open] = [0, () => {}];
    const opened = new Promise<void>((resolve) => (open = resolve));
    const doors = names(4).map((id) => inWorkspace(id, 'one'));
    const ingest = ingestOf([...doors, inWorkspace('other', 'two')], (id) => {
      if (id === 'other') return Promise.resolve();
      waiting++;
      return opened;
    });
    const answers = [];
    for (const id of names(4))
      for (const mb of [45, 45, 20, 10, 5, 2, 1]) {
        const before = waiting;
        let over = false;
        answers.push(answerOf(ingest, id, mb).finally(() => (over = true)));
        while (waiting === before && !over) await new Promise(setImmediate);
      }
    expect(waiting).toBeGreaterThan(3);
    expect(await answerOf(ingest, 'other', 45)).toBe(200);
    open();
    expect(new Set(await Promise.all(answers))).toEqual(new Set([200, 503]));
  });

  it('is a share of the stream only until it is proved', async () => {
    let [waiting, open] = [0, () => {}];
    const opened = new Promise<void>((resolve) => (open = resolve));
    const ingest = ingestOf([doorAt('one', signed)], () => {
      waiting++;
      return opened;
    });
    const answers = [];
    for (let sent = 1; sent <= 3; sent++) {
      const answer = ingest.answer(proved(body(24)), 'one').finally(() => void waiting++);
      answers.push(answer);
      while (waiting < sent) await new Promise(setImmediate);
    }
    open();
    expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([200, 200, 200]);
  });

  it('has the headers in it', async () => {
    const ingest = ingestOf([]);
    const told: number[] = [];
    for (let i = 0; i < 2_500; i++) {
      const sent = new Readable({ read: () => undefined });
      const rawHeaders = ['x-long', 'v'.repeat(32_000)];
      const request = Object.assign(sent, {
        ...{ method: 'POST', url: '/', headers: {}, complete: false },
        rawHeaders,
      });
      void ingest.answer(request as unknown as IncomingMessage, 'nobody’s').then(({ status }) => told.push(status));
      unended.push(sent);
    }
    await new Promise(setImmediate);
    expect(new Set(told)).toEqual(new Set([503]));
    expect(told.length).toBeLessThan(2_500);
  });
});
