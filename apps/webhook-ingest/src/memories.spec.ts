import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { eventually } from '@planasonix/testing';
import type { Hold } from './body/memory.js';
import { Memories, type StreamMemory } from './memories.js';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const MB = 1024 * 1024;

/** Streams of one name are of one workspace. */
function world() {
  const memories = new Memories();
  /** Without them they would be forgotten. */
  const known: object[] = [];
  const gone: Hold[] = [];
  const stream = (workspace: string): StreamMemory => {
    known.push({});
    return memories.of(known.at(-1)!, workspace);
  };
  const held = (of: StreamMemory, bytes: number): Hold => {
    const hold = of.hold();
    expect(hold.take(bytes)).toBe('room');
    return hold;
  };
  /** Its body is here; whether it is proved takes long. */
  const judged = (of: StreamMemory, mb: number) => held(of, mb * MB);
  const read = (of: StreamMemory, mb: number) => {
    const hold = held(of, mb * MB);
    hold.revocable(() => gone.push(hold));
    return hold;
  };
  const proved = (of: StreamMemory, mb: number) => {
    const hold = held(of, mb * MB);
    expect(hold.moveTo([of.all])).toBe(true);
    return hold;
  };
  return { gone, stream, judged, read, proved };
}

describe('who may hold how much', () => {
  it('nobody is sent away where that makes too little room', () => {
    const { gone, stream, judged, read } = world();
    for (const workspace of ['one', 'two']) {
      judged(stream(workspace), 60);
      const crowded = stream(workspace);
      for (let i = 0; i < 10; i++) read(crowded, 0.1);
      judged(crowded, 13.5);
    }
    const newcomer = stream('three').hold();
    expect([newcomer.take(5 * MB), gone]).toEqual(['not_now', []]);
    // As many as it takes, and no more.
    expect([newcomer.take(1.2 * MB), gone.length]).toEqual(['room', 2]);
  });

  it('nor where its own workspace has no room, whatever others hold', () => {
    const { gone, stream, judged, read } = world();
    judged(stream('one'), 60);
    const crowded = stream('one');
    judged(crowded, 38.5);
    for (let i = 0; i < 10; i++) read(crowded, 0.1);
    const large = stream('two');
    for (let i = 0; i < 4; i++) read(large, 12);
    expect([
      stream('one')
        .hold()
        .take(2 * MB),
      gone,
    ]).toEqual(['not_now', []]);
  });

  it('the oldest bodies of whoever holds most are, as many as it takes', () => {
    const { gone, stream, read } = world();
    const large = [stream('one'), stream('one'), stream('two')].map((of) => [20, 20, 9].map((mb) => read(of, mb)));
    expect([
      stream('three')
        .hold()
        .take(30 * MB),
      gone,
    ]).toEqual(['room', [large[0]![0], large[1]![0]]]);
  });

  it('what is proved needs no room among what is not', () => {
    const { gone, stream, judged, read, proved } = world();
    const own = stream('one');
    const large = proved(own, 66);
    expect(large.take(14 * MB)).toBe('room');
    judged(own, 60);
    proved(stream('three'), 20);
    const before = [read(stream('two'), 45), read(stream('two'), 45)];
    expect(gone).toEqual([]);
    // 6 are left of all, and 6 of its stream's for what is not proved.
    expect([large.take(10 * MB), gone]).toEqual(['room', [before[0]]]);
  });

  it('workspaces that are gone are forgotten, and no others', async () => {
    const memories = new Memories();
    const heap = () => {
      collect();
      return process.memoryUsage().heapUsed;
    };
    const known = {};
    const hold = memories.of(known, 'known').hold();
    hold.take(60 * MB);
    const before = heap();
    for (let i = 0; i < 50_000; i++) memories.of({}, `gone ${i}`);
    await eventually('they are forgotten', () => Promise.resolve(heap() - before < 5 * MB));
    const beside = memories.of({}, 'known').hold();
    expect([beside.take(50 * MB), beside.take(40 * MB)]).toEqual(['not_now', 'room']);
    hold.release();
    expect(memories.of(known, 'known').all.held).toBe(0);
  });
});
