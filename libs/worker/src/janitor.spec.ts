import type { Clock, Log, Sharer, SourceContext, SourceType, StreamSpec } from '@planasonix/core';
import type { ForgottenStore } from '@planasonix/store';
import { Janitor } from './janitor.js';
import { Sources, type Surroundings } from './sources.js';

const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined } as unknown as Log;

it('what a forced delete left is given back with an eye on the streams that are beside it, and tried until nothing is left', async () => {
  const asked: unknown[] = [];
  const told: string[] = [];
  let beside: readonly Sharer[] = [{ config: { slot_name: 'shared' }, database: 'shop' }];
  let rounds = 0;
  const clock = { sleep: () => Promise.resolve(rounds++ < 8) } as unknown as Clock;
  const type = {
    type: 'x',
    create: ({ sharers }: SourceContext) => ({
      release: async () => {
        const used = ((await sharers?.()) ?? []).map(({ config }) => ({ what: String(config['slot_name']), why: 'used', code: 'active_consumers' })); // prettier-ignore
        return { released: [], remaining: used };
      },
      close: () => Promise.resolve(),
    }),
  } as unknown as SourceType;
  const spec = { id: 'str_gone', config: {}, connection: null, owned: {} } as unknown as StreamSpec;
  const one = { id: 'fgt_1', streamId: 'str_gone', spec };
  const due = [one];
  const forgotten = {
    due: () => Promise.resolve(due.shift() ?? null),
    failed: (_: string, why: string) => {
      told.push(why);
      beside = [];
      due.push(one);
      return Promise.resolve();
    },
    done: (id: string) => Promise.resolve(void told.push(`${id} done`)),
  } as unknown as ForgottenStore;
  const around = {
    sharers: ({ id }: { readonly id: string }) => {
      asked.push(id);
      return Promise.resolve(beside);
    },
  } as unknown as Surroundings;
  const sources = new Sources(type, {} as never, quiet, undefined, around);
  await new Janitor(forgotten, sources, clock, quiet).run(new AbortController().signal);
  expect(told).toEqual(['shared: used', 'fgt_1 done']);
  expect(asked).toEqual(['str_gone', 'str_gone']);
});
