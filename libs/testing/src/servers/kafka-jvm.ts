import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { cacheDir } from './cache-dir.js';
import { KAFKA_VERSION } from './kafka-files.js';

/** Classes of a node, loaded and checked once: with them it is up in three fifths of the time. */
export const classArchive = (): string => join(cacheDir(), `kafka-${KAFKA_VERSION}.jsa`);

/** Small and quick to start. Another Java than the one that made the archive ignores it. */
export const smallJvm = (): string[] => [
  ...['-Xmx512m', '-Xms64m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'],
  ...(existsSync(classArchive()) ? [`-XX:SharedArchiveFile=${classArchive()}`, '-Xlog:disable'] : []),
];
