import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { systemClock, type Clock } from '@planasonix/core';
import { received } from './answer.js';
import type { Door } from './door.js';
import { Ingest, type IngestDeps } from './ingest.js';
import { Tally } from './tally.js';
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

it('a flood of one stream does not stand before the delivery of another', async () => {
  const order: string[] = [];
  const door = (id: string) =>
    ({
      ...{ id, name: id, isOpen: true, row: { token: id }, scheme: openScheme, handshake: null },
      ...{ windowMs: 1, queueMs: 1, hidden: new Set(), places: { eventId: null, idIsSigned: false, eventType: null } },
      config: { max_body_bytes: 1_000, expand_array: false },
    }) as unknown as Door;
  const doors = new Map(['flooded', 'other'].map((id) => [id, door(id)]));
  const tally = new Tally();
  const ingest = new Ingest({
    directory: { byToken: (token: string) => doors.get(token) ?? null },
    reporter: { of: () => tally },
    storing: {
      store: ({ id }: Door, { intake }: { intake: { id: string } }) => {
        order.push(id);
        return Promise.resolve(received(intake.id, { events: null, eventId: null }));
      },
    },
    ...{ clock: systemClock, publicBase: 'http://hooks', peers: null, addressRate: 0 },
  } as unknown as IngestDeps);
  const flood = Array.from({ length: 60 }, (_, i) => ingest.answer(posted(Buffer.from(`${i}`)), 'flooded'));
  const other = ingest.answer(posted(Buffer.from('{}')), 'other');
  expect((await Promise.all([other, ...flood])).map(({ status }) => status)).toEqual(Array<number>(61).fill(200));
  expect(order.indexOf('other')).toBeLessThan(16);
});
