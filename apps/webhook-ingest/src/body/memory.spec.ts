import { Hold, Memory } from './memory.js';

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
