import type { EventLog, PipelineOutput } from '@planasonix/core';
import { Inlets } from './inlets.js';

const output: PipelineOutput = { type: 'redis_stream' };

it('nothing is opened after the end, for whoever waits for room still', async () => {
  const [opened, closed]: [unknown[], unknown[]] = [[], []];
  const logs = {
    of: () => {
      const inlet = { close: () => Promise.resolve(void closed.push(inlet)) };
      return { inlet: () => (opened.push(inlet), inlet) } as unknown as EventLog;
    },
  };
  const inlets = new Inlets(logs);
  const inlet = inlets.of(output);
  await inlets.close();
  expect(() => inlets.of(output)).toThrow(expect.objectContaining({ code: 'log_unavailable' }));
  expect([opened, closed]).toEqual([[inlet], [inlet]]);
});
