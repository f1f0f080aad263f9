/**
 * `npm run bench [-- [--profile] PART …]`: each part beside its reference, in one run on this machine. Prints one JSON
 * line per part and appends it to `.planasonix/bench.jsonl`. `--profile` adds where the connector's time goes.
 */
import { appendFileSync, mkdirSync } from 'node:fs';
import { cpus } from 'node:os';
import { crowd } from './crowd.js';
import { drain } from './drain.js';
import { gateway } from './gateway.js';
import { kafka } from './kafka.js';
import { latency } from './latency.js';
import { mysql } from './mysql.js';
import { openScene, type Scene } from './scene.js';
import { tables, values, wide } from './shapes.js';
import { profileConnectors } from './profile.js';
import { snapshot } from './snapshot.js';
import { transaction } from './transaction.js';
import { webhook } from './webhook.js';

const PARTS: Readonly<Record<string, (scene: Scene) => Promise<object>>> = {
  drain,
  latency,
  transaction,
  snapshot,
  gateway,
  tables,
  wide,
  values,
  crowd,
  kafka,
  mysql,
  webhook,
};

async function main(args: readonly string[]): Promise<number> {
  const wanted = args.filter((arg) => arg !== '--profile');
  if (wanted.length < args.length) profileConnectors();
  const unknown = wanted.filter((name) => !(name in PARTS));
  if (unknown.length > 0) {
    console.error(`bench: no part ${unknown.join(', ')}; there are ${Object.keys(PARTS).join(', ')}`);
    return 2;
  }
  mkdirSync('.planasonix', { recursive: true });
  let failed = 0;
  for (const name of wanted.length > 0 ? wanted : Object.keys(PARTS)) {
    console.error(`bench: ${name} …`);
    // A scene of its own for each part: no part pays for the caches, the WAL or the memory of another.
    const scene = await openScene();
    try {
      const line = JSON.stringify({
        ...(await PARTS[name]!(scene)),
        machine: `${cpus().length} × ${cpus()[0]?.model.trim()}`,
        at: new Date().toISOString(),
      });
      console.log(line);
      appendFileSync('.planasonix/bench.jsonl', line + '\n');
    } catch (error) {
      failed++;
      console.error(
        `bench: ${name} failed: ${error instanceof Error ? error.message : String(error)}\n${scene.stack.log().slice(-1500)}`,
      );
    } finally {
      await scene.end();
    }
  }
  return failed === 0 ? 0 : 1;
}

void main(process.argv.slice(2)).then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(`bench: ${error instanceof Error ? error.stack : String(error)}`);
    process.exit(1);
  },
);
