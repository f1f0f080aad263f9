import { readEnv } from '@planasonix/service';
import { z } from 'zod';

export const readWorkerEnv = () =>
  readEnv({
    /** Streams that one worker holds at the most. */
    CAPACITY: z.coerce.number().int().min(1).max(10_000).default(100),
  });
export type WorkerEnv = ReturnType<typeof readWorkerEnv>;
