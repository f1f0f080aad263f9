import { frozen } from './frozen.js';
import { kafka } from './kafka.js';
import { kills } from './kills.js';
import { network } from './network.js';
import { postgres } from './postgres.js';
import { redis } from './redis.js';
import { store } from './store.js';

export const FAMILIES = [kills, network, postgres, redis, store, frozen, kafka];
