import { StreamError } from '@planasonix/core';
import { KafkaError, toStreamError } from '@planasonix/kafka';
import { isRefusal, logFailure } from './kafka-cluster.js';

describe('what a failure of the log in Kafka means', () => {
  it.each([
    [10, 'message_too_large', 'fatal', 'max.message.bytes'],
    [18, 'message_too_large', 'fatal', 'max.message.bytes'],
    [19, 'log_unavailable', 'retry', 'min.insync.replicas'],
    [20, 'log_unavailable', 'retry', 'min.insync.replicas'],
    [32, 'log_unavailable', 'retry', 'Set the clocks'],
    [38, 'log_unavailable', 'retry', 'createTopics.replicationFactor'],
    [44, 'config_invalid', 'fatal', 'create it by hand'],
    [50, 'config_invalid', 'fatal', 'transaction.max.timeout.ms'],
    [51, 'log_unavailable', 'retry', 'bring the brokers up'],
    [29, 'permission_denied', 'fatal', 'Grant the user'],
    [87, 'config_invalid', 'fatal', 'primary key'],
    [6, 'log_unavailable', 'retry', ''],
    [999, 'log_unavailable', 'retry', ''],
  ] as const)('%i: %s', (code, becomes, recourse, hint) => {
    const error = new KafkaError(code, 'writing to orders/0');
    for (const told of [error, toStreamError(error, 'writing')])
      expect(logFailure(told)).toMatchObject({ code: becomes, recourse, hint: expect.stringContaining(hint) });
    // Others may be taken.
    expect(isRefusal(logFailure(error))).toBe([10, 18, 87].includes(code));
  });

  it('leaves others as they are', () => {
    const fenced = new StreamError('fenced', 'Another one.');
    expect(logFailure(fenced)).toBe(fenced);
    expect(logFailure(new Error('torn'))).toMatchObject({ code: 'log_unavailable' });
  });
});
