import type { LogTopics } from '@planasonix/core';
import { parseConfig } from './config.js';
import { OwnOutput } from './own-output.js';

/** Copies under `copy.`, or everything into one topic. */
const copies: LogTopics = {
  ...{ clusterId: 'c', only: null },
  of: (subject) => `copy.${subject}`,
  may: (topic) => topic.length > 5 && topic.startsWith('copy.'),
};
const only: LogTopics = { clusterId: 'c', only: 'log', of: () => 'log', may: (topic) => topic === 'log' };
const mirror: LogTopics = { clusterId: 'c', only: null, of: (subject) => subject, may: () => true };

const refused = { code: 'config_invalid', hint: expect.stringContaining('Leave') };
const outcome = (config: object, log: LogTopics | null, topic: string): unknown => {
  try {
    return new OwnOutput(parseConfig(config), log).has(topic) ? 'passed over' : 'read';
  } catch (error) {
    return error;
  }
};

describe('what a stream writes itself', () => {
  it.each([
    [{ topics: ['orders', 'log'] }, only, { orders: 'read', log: refused }],
    [{ topics: ['orders', 'copy.orders'] }, copies, { orders: 'read', 'copy.orders': refused }],
    // Nothing of it goes there.
    [{ topics: ['copy.orders'] }, copies, { 'copy.orders': 'read' }],
    [{ topic_pattern: '.*' }, only, { orders: 'read', log: 'passed over' }],
    [{ topic_pattern: '.*' }, copies, { orders: 'read', 'copy.orders': 'passed over', 'copy.gone': 'passed over' }],
    [{ topics: ['copy.orders'], topic_pattern: 'o.*' }, copies, { 'copy.orders': refused }],
    [{ topics: ['orders'] }, mirror, { orders: refused }],
    [{ topic_pattern: '.*' }, mirror, { orders: refused }],
    [{ topics: ['log'] }, null, { log: 'read' }],
  ])('%j: %j', (config, log, topics) => {
    for (const [topic, becomes] of Object.entries(topics))
      if (typeof becomes === 'string') expect([topic, outcome(config, log, topic)]).toEqual([topic, becomes]);
      else expect(outcome(config, log, topic)).toMatchObject({ ...becomes, message: expect.stringContaining(topic) });
  });
});
