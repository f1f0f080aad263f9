import { Hold, Memory, type Crowd } from './memory.js';

const free = (memory: Memory): number => {
  let bytes = 0;
  while (memory.take(1)) bytes++;
  memory.give(bytes);
  return bytes;
};

describe('what one request holds', () => {
  const world = () => {
    const [all, stream] = [new Memory(10), new Memory(6)];
    return { all, stream, hold: new Hold([all, stream]) };
  };

  it('is of all memories or of none', () => {
    const { all, stream, hold } = world();
    stream.take(4);
    expect([hold.take(3), free(all), free(stream)]).toEqual(['not_now', 10, 2]);
    expect([hold.take(2), free(all), free(stream)]).toEqual(['room', 8, 0]);
  });

  it('more than there is at all is no question of time', () => {
    const { hold } = world();
    expect([hold.take(4), hold.take(3), hold.become(7), hold.become(6)]).toEqual(['room', 'never', 'never', 'room']);
  });

  it('is given back whole, whatever it became', () => {
    const { all, stream, hold } = world();
    hold.take(2);
    hold.become(6);
    hold.become(1);
    expect([free(all), free(stream)]).toEqual([9, 5]);
    hold.release();
    hold.release();
    expect([free(all), free(stream)]).toEqual([10, 6]);
  });

  it('keeps a part of it, whatever the rest becomes', () => {
    const { stream, hold } = world();
    expect([hold.keep(2), hold.take(3), hold.become(1), free(stream)]).toEqual(['room', 'room', 'room', 3]);
    expect([hold.become(5), hold.become(4), free(stream)]).toEqual(['never', 'room', 0]);
  });

  it('is held of other memories as a whole, or of those as before', () => {
    const { all, stream, hold } = world();
    const other = new Memory(4);
    hold.take(3);
    expect([hold.moveTo([all, other]), free(all), free(stream), free(other)]).toEqual([true, 7, 6, 1]);
    stream.take(4);
    expect([hold.moveTo([all, stream]), free(all), free(stream), free(other)]).toEqual([false, 7, 2, 1]);
    hold.release();
    expect([free(all), free(stream), free(other)]).toEqual([10, 2, 4]);
  });
});

describe('a memory of which others have parts', () => {
  it('has no room for more than it is, whoever holds it', () => {
    const whole = new Memory(10);
    const [one, two] = [whole.part(8), whole.part(8)];
    expect([one.take(9), one.take(8), two.take(3), two.take(2), free(whole)]).toEqual([false, true, false, true, 0]);
    one.give(8);
    expect([free(whole), free(two), two.take(6), free(one)]).toEqual([8, 6, true, 2]);
  });

  it('has no more than the whole, however much it may have', () => {
    expect(new Memory(10).part(20).most).toBe(10);
    expect(new Hold([new Memory(10).part(20)]).take(11)).toBe('never');
  });
});

describe('a request that may be sent away', () => {
  const among = (makeRoom: Crowd['makeRoom'] = () => false) => {
    const there = new Set<Hold>();
    const reading = new Memory(Infinity);
    const crowd = {
      reading,
      enter: (hold: Hold) => there.add(hold),
      leave: (hold: Hold) => there.delete(hold),
      makeRoom,
    };
    return { there, crowd };
  };

  it('has given back what it held when it is told, and gets nothing more', () => {
    const memory = new Memory(10);
    const { there, crowd } = among();
    const hold = new Hold([memory], crowd);
    hold.take(6);
    const told: number[] = [];
    hold.revocable(() => told.push(free(memory)));
    expect(there.has(hold)).toBe(true);
    hold.revoke();
    hold.revoke();
    expect([told, there.size, hold.take(1)]).toEqual([[10], 0, 'not_now']);
    hold.release();
    expect(free(memory)).toBe(10);
  });

  it('makes room for another one', () => {
    const memory = new Memory(10);
    const { there, crowd } = among(() => {
      for (const hold of there) hold.revoke();
      return there.size === 0;
    });
    const [first, second, third] = [new Hold([memory], crowd), new Hold([memory], crowd), new Hold([memory], crowd)];
    first.take(6);
    expect([second.take(4), free(memory)]).toEqual(['room', 0]);
    first.revocable(() => undefined);
    expect([third.take(6), first.take(1), free(memory)]).toEqual(['room', 'not_now', 0]);
  });
});
