#!/usr/bin/env node
/**
 * The way in for a fresh clone: needs Node and npm, nothing else. Installs what is missing, bundles, and runs the
 * TypeScript of `apps/standalone/src` with the command and its arguments.
 *
 *   node apps/standalone/run.mjs start | demo | test | bench | faults | soak | serve <app>
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const COMMANDS = ['start', 'demo', 'test', 'bench', 'faults', 'soak', 'serve'];
/** Commands that are a bundle of their own, beside the apps: name of the bundle and its entry. */
const BUNDLES = {
  bench: ['bench', 'test/bench/main.ts'],
  faults: ['faults', 'test/faults/main.ts'],
  soak: ['faults', 'test/faults/main.ts'],
};
const say = (line) => process.stderr.write(`${line}\n`);

function fail(line, code = 1) {
  say(line);
  process.exit(code);
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  fail(`Node ${process.versions.node} is too old: install Node 20.19 or newer.`);
}

const STAMP = path.join(ROOT, 'node_modules/.planasonix-lock');

/** Whether `node_modules` is there and not older than the lock. */
function isInstalled(lockHash) {
  if (existsSync(STAMP) && readFileSync(STAMP, 'utf8') === lockHash) return true;
  const installed = statSync(path.join(ROOT, 'node_modules/.package-lock.json'), { throwIfNoEntry: false });
  // npm writes both within moments of each other, in either order.
  return (
    installed !== undefined && installed.mtimeMs + 10_000 >= statSync(path.join(ROOT, 'package-lock.json')).mtimeMs
  );
}

/** Runs npm with its output on our stderr; ends with us. */
function npm(...args) {
  return new Promise((resolve) => {
    const child = spawn('npm', args, { cwd: ROOT, stdio: ['ignore', 2, 2] });
    const pass = (signal) => child.kill(signal);
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
    for (const signal of signals) process.on(signal, pass);
    const done = (status, signal) => {
      for (const each of signals) process.off(each, pass);
      if (signal) fail(`npm ci was ended by ${signal}.`, 130);
      resolve(status);
    };
    child.once('error', ({ message }) => fail(`npm does not run: ${message}`));
    child.once('exit', done);
  });
}

async function install() {
  const lockHash = createHash('sha256')
    .update(readFileSync(path.join(ROOT, 'package-lock.json')))
    .digest('hex');
  if (isInstalled(lockHash)) return;
  say('Installing dependencies (npm ci) …');
  const started = Date.now();
  // Under NODE_ENV=production npm would leave out what builds and tests.
  const status = await npm('ci', '--include=dev', '--include=optional', '--no-audit', '--no-fund');
  if (status !== 0) fail('npm ci failed; the lines above say why.');
  writeFileSync(STAMP, lockHash);
  say(`Dependencies are installed (${Math.round((Date.now() - started) / 1000)} s).`);
}

checkNode();
const [command, ...args] = process.argv.slice(2);
if (!COMMANDS.includes(command)) fail(`Usage: node apps/standalone/run.mjs ${COMMANDS.join(' | ')}`, 2);
process.chdir(ROOT);
// Shells and compilers set HOST to other things; only what serves others has a use for it.
if (command !== 'start' && command !== 'serve') process.env.HOST = '127.0.0.1';
await install();

const own = BUNDLES[command];
const { buildApps, bundle, endBuilder } = await import('./build.mjs');
try {
  if (own) await Promise.all([buildApps(), bundle(...own)]);
  else if (command === 'serve' && args[0]) await buildApps(['standalone', args[0]]);
  else await buildApps();
  await endBuilder();
} catch (error) {
  fail(`The build failed: ${error.message.split('\n')[0]}`);
}
const main = path.join(ROOT, 'dist', own?.[0] ?? 'standalone', 'main.cjs');
if (own) {
  process.argv = [process.execPath, main, ...(own[0] === command ? [] : [command]), ...args];
  // Its servers and the system under test end in exit hooks, which a signal alone would skip.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(130));
}
createRequire(import.meta.url)(main);
