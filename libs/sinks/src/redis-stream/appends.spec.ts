import { commit } from '@planasonix/testing';
import type { Command, Redis } from 'ioredis';
import { Appends } from './appends.js';
import { TRANSACT } from './scripts.js';

/** A fake of a connection: what was sent waits to be answered by the test. */
class FakeConnection {
  readonly stream = { cork: () => undefined, uncork: () => undefined };
  /** What stands in its buffers, not sent yet: views, as a socket has them. */
  readonly waiting: { readonly bytes: Buffer; answer(reply: unknown): void }[] = [];

  script(_load: string, text: string): Promise<string> {
    return Promise.resolve(text === TRANSACT ? 'transact' : 'append');
  }
  multi() {
    const answers = [[null, 'OK'], [new Error('no such key')], [null, []], [null, 1]];
    const next = () => asked;
    const asked = { client: next, rename: next, xrevrange: next, eval: next, exec: () => Promise.resolve(answers) };
    return asked;
  }
  sendCommand(command: Command): Promise<unknown> {
    return new Promise((resolve) => this.waiting.push({ bytes: command.toWritable({}) as Buffer, answer: resolve }));
  }
}

describe('the bytes of a transaction', () => {
  it('are not used anew before the last of them was sent, though its answer is there', async () => {
    const connection = new FakeConnection();
    const appends = new Appends(connection as unknown as Redis, 'str_x', 1);
    await appends.load();
    const args = Array.from({ length: 13 }, (_, i) => String(i));
    // As large as what the pool keeps.
    const { events } = commit(1, 500);
    const encode = () => appends.encode(args, events);

    const first = encode();
    const answer = appends.send(first);
    const [begun, ended, after, why] = connection.waiting;
    const words = why!.bytes.toString();
    begun!.answer('OK');
    ended!.answer([0, 500, 1, 0]);
    expect(await answer).toEqual([0, 500, 1, 0]);
    appends.release(first);
    await appends.load(); // whatever was to be done has been done
    const second = encode();
    expect(why!.bytes.toString()).toBe(words);
    expect((second as { events: Buffer }).events.buffer).not.toBe(begun!.bytes.buffer);

    after!.answer('OK');
    why!.answer(null);
    await appends.load();
    expect((encode() as { events: Buffer }).events.buffer).toBe(begun!.bytes.buffer);
  });
});
