import { StreamError, type Clock, type TakenIn } from '@planasonix/core';
import type { Waiting } from '../inlet-line.js';
import { delivery, written as takenAs } from '../deliveries-under-test.js';
import { logUnavailable } from './connection.js';
import { RedisLane, type Landed } from './redis-lane.js';

const turn = () => new Promise(setImmediate);
const away = new StreamError('log_unavailable', 'Redis is away');
const takenOf = (name: string): TakenIn => {
  if (name === 'full') return { kind: 'full' };
  return name === 'repeated' ? { kind: 'repeated', id: '' } : takenAs(name);
};

/** One lane; its writes, and when they are on the disk, are answered by hand. */
function lane() {
  const written: { names: string; answer: (landed: Landed) => void; fail: (error: StreamError) => void }[] = [];
  const [said, caughtUp]: [string[], number[]] = [[], []];
  const clock: Clock = { now: () => 0, monotonic: () => 0, sleep: () => turn().then(() => true) };
  const nameOf = ({ intake }: Waiting) => intake.sameDelivery;
  const one = new RedisLane({
    write: (group) => new Promise((answer, fail) => written.push({ names: group.map(nameOf).join(), answer, fail })),
    caughtUp: () => caughtUp.push(written.length),
    idle: () => said.push('idle'),
    ...{ clock, closing: new AbortController().signal },
  });
  const push = (name: string, until = 3_000, inOrder = false) =>
    new Promise<TakenIn>((resolve, reject) =>
      one.push(
        { ...{ epoch: 1, bytes: 1, until, resolve, reject }, intake: delivery(name, { inOrder }) },
        setImmediate,
      ),
    ).then(
      ({ kind }) => said.push(`${name} ${kind}`),
      ({ code }: StreamError) => said.push(`${name} ${code}`),
    );
  /** A write that is answered and not on the disk yet. */
  const unsettled = (...names: string[]) => {
    let [settle, fail] = [() => {}, (_: StreamError) => {}];
    const settled = new Promise<void>((resolve, reject) => ([settle, fail] = [resolve, reject]));
    written.at(-1)!.answer({ taken: names.map(takenOf), settled: () => settled });
    return { settle, fail };
  };
  return {
    ...{ lane: one, said, caughtUp, push, unsettled },
    sent: () => written.map(({ names }) => names),
    answer: (...names: string[]) => written.at(-1)!.answer({ taken: names.map(takenOf), settled: null }),
    fail: (error: StreamError) => written.at(-1)!.fail(error),
  };
}

it('who waits for a write that hangs is told when his time is over, and is not written again (trap 29)', async () => {
  const { lane: one, said, push, sent, fail } = lane();
  void push('a', 3_000);
  await turn();
  void push('b', 3_000);
  void push('c', 9_000);
  one.tellLate(2_999);
  await turn();
  expect(said).toEqual([]);
  one.tellLate(3_000);
  await turn();
  expect(said).toEqual(['b log_unavailable', 'a log_unavailable']);
  fail(away);
  await turn();
  await turn();
  expect(sent()).toEqual(['a', 'c']);
});

it('the next group is written while the one before it is not on the disk, and each is answered when it is', async () => {
  const { said, push, unsettled, sent } = lane();
  void push('a');
  await turn();
  void push('b');
  const first = unsettled('a');
  await turn();
  const second = unsettled('b');
  await turn();
  expect([sent(), said]).toEqual([['a', 'b'], []]);
  first.settle();
  await turn();
  expect(said).toEqual(['a written']);
  second.settle();
  await turn();
  expect(said).toEqual(['a written', 'idle', 'b written']);
});

it('what was not on the disk when the connection was lost is written again, in its order (Invariant 5)', async () => {
  const { lane: one, said, push, unsettled, sent, fail, answer } = lane();
  for (const name of ['a', 'b', 'c']) {
    void push(name);
    await turn();
    if (name !== 'c') unsettled(name);
    await turn();
  }
  void push('d');
  // As Redis' client tells it, one way round or the other.
  one.rewind();
  fail(away);
  await turn();
  await turn();
  expect(sent()).toEqual(['a', 'b', 'c', 'a,b,c,d']);
  const again = unsettled('a', 'b', 'c', 'd');
  await turn();
  void push('e');
  await turn();
  fail(away);
  await Promise.resolve();
  one.rewind();
  await turn();
  await turn();
  expect(sent().slice(4)).toEqual(['e', 'a,b,c,d,e']);
  again.settle();
  await turn();
  expect(said).toEqual([]);
  answer('a', 'b', 'c', 'd', 'e');
  await turn();
  expect(said.slice(1).join()).toBe('a written,b written,c written,d written,e written');
});

it('where Redis does not say that it kept a group, that is written again, with all that was written behind it', async () => {
  const { said, push, unsettled, sent, answer } = lane();
  void push('a');
  await turn();
  const first = unsettled('a');
  void push('b');
  await turn();
  unsettled('b');
  void push('c');
  await turn();
  first.fail(away);
  await turn();
  // What is being written is not known to be behind the others.
  answer('c');
  await turn();
  expect([sent(), said]).toEqual([['a', 'b', 'c', 'a,b,c'], []]);
});

it('what was told to be late is not written again, nor what was refused; that there is no room is told at once', async () => {
  const { lane: one, said, push, unsettled, sent, fail } = lane();
  void push('a', 1_000);
  void push('b', 9_000);
  void push('c', 9_000);
  await turn();
  unsettled('a', 'b', 'full');
  await turn();
  expect(said).toEqual(['c full']);
  await turn();
  void push('d', 9_000);
  await turn();
  fail(new StreamError('fenced', 'A newer epoch rules'));
  await turn();
  one.tellLate(1_000);
  one.rewind();
  await turn();
  expect([sent(), said.slice(1)]).toEqual([
    ['a,b,c', 'd', 'b'],
    ['d fenced', 'a log_unavailable'],
  ]);
});

it.each([
  ['overtakes nobody who found none, where it keeps the order (Invariant 5)', true],
  ['is asked for all the same, where it does not', false],
])('who came before it was known that there is no room %s', async (_, inOrder) => {
  const { said, push, sent, answer } = lane();
  void push('a', 3_000, inOrder);
  await turn();
  void push('b', 3_000, inOrder);
  void Promise.resolve(answer('full')).then(() => push('c', 3_000, inOrder));
  await turn();
  await turn();
  if (!inOrder) answer('b', 'repeated');
  await turn();
  const kept = [['a'], ['a full', 'b full', 'c full', 'idle']];
  expect([sent(), said]).toEqual(
    inOrder
      ? kept
      : [
          ['a', 'b,c'],
          ['a full', 'idle', 'b written', 'c repeated'],
        ],
  );
  void push('d', 3_000, inOrder);
  await turn();
  expect(sent().at(-1)).toBe('d');
});

it('what was written and is written again is no repeat of itself, however often; what was one before stays one', async () => {
  const { lane: one, said, push, unsettled, sent, fail, answer } = lane();
  void push('a');
  void push('b');
  await turn();
  unsettled('a', 'repeated');
  await turn();
  one.rewind();
  await turn();
  fail(away);
  await turn();
  await turn();
  unsettled('repeated', 'repeated');
  await turn();
  one.rewind();
  void push('c');
  await turn();
  answer('repeated', 'repeated', 'repeated');
  await turn();
  expect([sent(), said]).toEqual([
    ['a,b', 'a,b', 'a,b', 'a,b,c'],
    ['idle', 'a written', 'b repeated', 'c repeated'],
  ]);
});

it('what Redis was sent and did not answer is not sent again without time for an answer (Invariant 6)', async () => {
  const { said, push, sent, fail } = lane();
  void push('a', 2_500);
  void push('b', 2_501);
  await turn();
  void push('c', 2_500);
  fail(logUnavailable(new Error('Command timed out')));
  await turn();
  await turn();
  expect([sent(), said]).toEqual([['a,b', 'b,c'], ['a log_unavailable']]);
  fail(away);
  await turn();
  await turn();
  expect(sent()).toEqual(['a,b', 'b,c', 'b,c']);
});

it('it has caught up once all that may have been written before is written again', async () => {
  const { lane: one, caughtUp, push, unsettled, sent } = lane();
  const names = Array.from({ length: 257 }, (_, i) => `${i}`);
  for (const some of [names.slice(0, 1), names.slice(1)]) {
    for (const name of some) void push(name);
    await turn();
    unsettled(...some);
    await turn();
  }
  expect(caughtUp).toEqual([1, 2]);
  one.rewind();
  void push('new');
  await turn();
  for (const group of [names.slice(0, 256), [names[256]!, 'new']]) {
    expect([sent().at(-1), caughtUp]).toEqual([group.join(), [1, 2]]);
    unsettled(...group);
    await turn();
  }
  expect(caughtUp).toEqual([1, 2, 4]);
});
