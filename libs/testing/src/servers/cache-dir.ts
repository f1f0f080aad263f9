import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where downloads of this system stay: shared by every checkout of this user. */
export const cacheDir = (): string => join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'planasonix');
