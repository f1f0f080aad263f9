import { readEnv } from '@planasonix/service';

export const readAggregatorEnv = (source?: NodeJS.ProcessEnv) => readEnv({}, source);
export type AggregatorEnv = ReturnType<typeof readAggregatorEnv>;
