import { rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { guardFolder } from '@planasonix/testing';
import { runCommand } from './commands.js';

const RULE = '@nx/enforce-module-boundaries';
const WITHIN = 'no-restricted-imports';

/** Imports that are forbidden: the room, what it must not know, and which rule says so. */
const FORBIDDEN: readonly (readonly [room: string, imported: string, rule?: string])[] = [
  ['libs/core', '@planasonix/engine'],
  ['libs/core', 'zod'],
  ['libs/engine', '@planasonix/store'],
  ['libs/engine', 'ioredis'],
  ['libs/sinks', '@planasonix/worker'],
  ['libs/sinks', 'kafkajs'],
  ['libs/kafka', 'kafkajs/src/network/connection.js', WITHIN],
  ['libs/kafka', './kafkajs/connection.js', WITHIN],
  ['libs/worker', 'bullmq'],
  ['apps/postgres-cdc', '../../mysql-cdc/src/config.js'],
  ['apps/postgres-cdc', 'mysql2'],
  ['apps/mysql-cdc', 'pg'],
  ['apps/mysql-cdc', 'pg-logical-replication'],
  ['apps/kafka-ingest', 'kafkajs'],
  ['apps/webhook-ingest', 'mysql2/promise.js'],
  ['apps/api-gateway', 'pg'],
  ['apps/api-gateway', 'jose'],
];

interface Linted {
  readonly filePath: string;
  readonly messages: readonly { readonly ruleId: string | null; readonly message: string }[];
}

/**
 * The rule about who may import whom passes in silence when it finds no project graph, or where a name in it is wrong.
 * So files that break it are put into the rooms, and eslint has to fail on each.
 *
 * @returns `null` when all is well, else what is wrong.
 */
export async function moduleBoundaryCanary(root: string): Promise<string | null> {
  const canaries = FORBIDDEN.map(([room, imported, rule = RULE], n) => {
    const file = path.join(root, room, `src/boundary-canary-${n}.ts`);
    return { room, imported, rule, file, release: guardFolder(file) };
  });
  try {
    for (const { file, imported } of canaries)
      writeFileSync(file, `import * as forbidden from '${imported}';\nexport const canary: unknown = forbidden;\n`);
    const files = canaries.map(({ file }) => file);
    const { output } = await runCommand(root, 'npx', ['eslint', '--format', 'json', ...files]);
    const report = output.slice(output.indexOf('[{'));
    if (!report.startsWith('[{')) return `eslint reported nothing:\n${output}`;
    const linted = JSON.parse(report.slice(0, report.lastIndexOf(']') + 1)) as Linted[];
    const told = new Set(
      linted.flatMap(({ filePath, messages }) => messages.map(({ ruleId }) => `${ruleId} ${filePath}`)),
    );
    const missed = canaries.filter(({ rule, file }) => !told.has(`${rule} ${file}`));
    if (missed.length === 0) return null;
    const lines = missed.map(({ rule, room, imported }) => `${rule} for ${room}, which imports ${imported}`);
    return `eslint did not report\n${lines.join('\n')}\n${output}`;
  } finally {
    for (const { file, release } of canaries) {
      rmSync(file, { force: true });
      release();
    }
  }
}
