import { Turns } from './turns.js';

/** Turns of a loop that goes on when it is told to, and who was let in, in order. */
function loop() {
  const [begun, next]: [string[], (() => void)[]] = [[], []];
  const turns = new Turns((run) => next.push(run));
  const settled = () => new Promise(setImmediate);
  return {
    begun,
    ask: (whose: string, count = 1, bytes = 1) => {
      for (let i = 0; i < count; i++) void turns.take(whose, bytes).then(() => begun.push(`${whose}${i}`));
    },
    /** @returns who was let in since the last one */
    turn: async () => {
      await settled();
      const found = begun.splice(0);
      next.shift()?.();
      return found.join(' ');
    },
    isOver: () => next.length === 0,
  };
}

describe('the thread of an instance', () => {
  it('is for whoever comes while nobody waits', async () => {
    const { ask, turn, isOver } = loop();
    ask('a', 3);
    expect(await turn()).toBe('a0 a1 a2');
    expect(isOver()).toBe(true);
    ask('a');
    expect(await turn()).toBe('a0');
  });

  it('is not for a flood alone: who comes behind it is let in with its next turn', async () => {
    const { ask, turn } = loop();
    ask('a', 30);
    ask('b');
    expect(await turn()).toBe('a0 a1 a2 a3 a4 a5 a6 a7');
    expect(await turn()).toBe('a8 b0 a9 a10 a11 a12 a13 a14');
    ask('c', 2);
    ask('a', 1);
    expect(await turn()).toBe('a15 a16 a17 a18 a19 a20 a21 a22');
    expect(await turn()).toBe('a23 c0 a24 c1 a25 a26 a27 a28');
    expect(await turn()).toBe('a29 a0');
  });

  it('hears what else has come after 256 kB, and after one piece that is larger', async () => {
    const { ask, turn } = loop();
    ask('a', 4, 128 * 1024);
    ask('b', 2, 5_000_000);
    ask('c');
    expect(await turn()).toBe('a0 a1');
    expect(await turn()).toBe('a2 b0');
    expect(await turn()).toBe('c0 a3 b1');
    expect(await turn()).toBe('');
  });
});
