import { existsSync, mkdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import {
  kcatProgram,
  provisionKafka,
  provisionMariaDb,
  provisionMySql,
  provisionNewerMariaDb,
  redisServer,
  startPostgres,
  startRedis,
} from '@planasonix/testing';
import { readLaunchEnv } from '../env.js';
import { endAsked } from '../signals.js';
import { moduleBoundaryCanary } from './canary.js';
import { runCommand } from './commands.js';
import { type Counted, readJestReport } from './jest-report.js';

const say = (line: string) => void process.stdout.write(`${line}\n`);

/** A step counts as one test where it is not made of tests. */
interface Step {
  readonly name: string;
  run(): Promise<Counted>;
}

const one = (problem: string | null): Counted =>
  problem === null ? { passed: 1, failed: 0, failures: [] } : { passed: 0, failed: 1, failures: [problem] };

/** Gets what the tests start. @throws what is missing and how to get it: nothing that follows would be worth its time. */
async function getServers(): Promise<Counted> {
  redisServer(say);
  kcatProgram(say);
  await provisionMariaDb(say);
  await provisionMySql(say);
  await provisionNewerMariaDb(say);
  await provisionKafka(say);
  return one(null);
}

/** One group after the other; what is in one runs at once. */
function groups(root: string, reports: string): Step[][] {
  const command = (name: string, program: string, ...args: string[]): Step => ({
    name,
    async run() {
      const { code, output } = await runCommand(root, program, args);
      return one(code === 0 ? null : output);
    },
  });
  const jest = (projects: readonly string[], ...args: string[]): Step => ({
    name: `${projects.join(' and ')} tests`,
    async run() {
      const report = path.join(reports, `${projects.join('-')}.json`);
      const base = ['jest', '--selectProjects', ...projects, '--json', `--outputFile=${report}`, '--passWithNoTests'];
      const { code, output } = await runCommand(root, 'npx', [...base, ...args]);
      if (!existsSync(report)) return one(output);
      const counted = readJestReport(report);
      // Jest also fails for reasons that no test has, such as a coverage limit or a crash.
      return code !== 0 && counted.failed === 0 ? { ...counted, failed: 1, failures: [output] } : counted;
    },
  });
  return [
    // First: the rule of module boundaries needs the graph.
    [command('nx graph', 'npx', 'nx', 'graph', `--file=${path.join(reports, 'graph.json')}`)],
    [
      command('lint', 'npx', 'eslint', '.', '--max-warnings', '0'),
      command('format', 'npx', 'prettier', '--check', '.'),
      command('types', 'npm', 'run', '-s', 'typecheck'),
      // They are waited for by the network, the rest of this group by the processor.
      { name: 'servers', run: getServers },
    ],
    // By itself: for a moment it puts a file there that is wrong.
    [{ name: 'module boundaries (canary)', run: async () => one(await moduleBoundaryCanary(root)) }],
    [command('nx test core', 'npx', 'nx', 'test', 'core', '--skip-nx-cache')],
    [jest(['unit'], '--maxWorkers=2')],
    [
      // Specs start servers of their own and wait for them more than they work; more of these at once only make them late.
      jest(['integration', 'system'], '--maxWorkers=3'),
      // Waits for the registry, and for apps that come up.
      { name: 'image steps', run: async () => one(await checkImage(root)) },
    ],
  ];
}

/** The steps of the image, with servers for the apps to come up against. */
async function checkImage(root: string): Promise<string | null> {
  const [postgres, redis] = await Promise.all([startPostgres(), startRedis()]);
  try {
    const env = { DATABASE_URL: postgres.adminUrl, REDIS_URL: redis.url };
    const { code, output } = await runCommand(root, process.execPath, ['docker/image-check.mjs'], env);
    return code === 0 ? null : output;
  } finally {
    await Promise.all([postgres.stop('immediate'), redis.stop()]);
  }
}

/** `npm test`: everything that the product promises. @returns the exit code. */
export async function runTests(root: string): Promise<number> {
  const interrupted = endAsked(readLaunchEnv().underNpm).then((reason) => {
    say(`ended by ${reason}`);
    process.exit(130);
  });
  const reports = path.join(root, '.planasonix/test');
  rmSync(reports, { recursive: true, force: true });
  mkdirSync(reports, { recursive: true });

  const summary: string[] = [];
  let passed = 0;
  let failed = 0;
  const play = async (step: Step): Promise<void> => {
    const started = performance.now();
    const counted = await Promise.race([step.run(), interrupted.then(() => one('interrupted'))]);
    passed += counted.passed;
    failed += counted.failed;
    for (const failure of counted.failures) say(indent(failure));
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    const mark = counted.failed > 0 ? 'FAILED' : 'ok';
    const line = `${mark.padEnd(6)}  ${step.name.padEnd(28)} ${String(counted.passed).padStart(5)} passed ${String(counted.failed).padStart(4)} failed ${seconds.padStart(8)} s`;
    summary.push(line);
    say(line);
  };
  const list = groups(root, reports);
  for (const [index, group] of list.entries()) {
    say(`[${index + 1}/${list.length}] ${group.map(({ name }) => name).join(', ')} …`);
    await Promise.all(group.map(play));
  }
  say(['', ...summary, ''].join('\n'));
  say(`${passed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

const indent = (text: string): string => text.trimEnd().replaceAll(/^/gm, '    ');
