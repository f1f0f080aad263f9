import { readEnv } from '@planasonix/service';

export const readAggregatorEnv = () => readEnv({});
export type AggregatorEnv = ReturnType<typeof readAggregatorEnv>;
