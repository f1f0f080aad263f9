#!/usr/bin/env node
/**
 * Bundles apps: `apps/<app>/src/main.ts` → `dist/<app>/main.cjs`, with our own rooms and with the packages that they use: a
 * process that finds and reads 1,900 files begins half a second of CPU later. What nothing has changed for is not made again.
 *
 *   node apps/standalone/build.mjs            every app
 *   node apps/standalone/build.mjs <app> …    these
 *
 * An app is any folder of `apps/` with a `src/main.ts`; a new connector needs no change here.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import swc from '@swc/core';
import * as esbuild from 'esbuild';

export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');

/** Every app that can be bundled, by the name of its folder. */
export function findApps() {
  return readdirSync(path.join(ROOT, 'apps'))
    .filter((name) => existsSync(path.join(ROOT, 'apps', name, 'src/main.ts')))
    .sort();
}

/** Package name → entry of each room in `libs/`. */
function findRooms() {
  const rooms = {};
  for (const folder of readdirSync(path.join(ROOT, 'libs'))) {
    const manifest = path.join(ROOT, 'libs', folder, 'package.json');
    if (!existsSync(manifest)) continue;
    rooms[JSON.parse(readFileSync(manifest, 'utf8')).name] = path.join(ROOT, 'libs', folder, 'src/index.ts');
  }
  return rooms;
}

/** esbuild drops the type metadata of decorators, and injection with it: files that have decorators go through swc. */
const decorators = {
  name: 'decorators',
  setup(build) {
    build.onLoad({ filter: /\.ts$/ }, async ({ path: filename }) => {
      if (filename.includes(`${path.sep}node_modules${path.sep}`)) return undefined;
      const source = await readFile(filename, 'utf8');
      if (!/^\s*@\w+\s*\(/m.test(source) && !/[(,]\s*@\w+\s*\(/.test(source)) return undefined;
      const { code } = await swc.transform(source, {
        filename,
        swcrc: false,
        configFile: false,
        sourceMaps: 'inline',
        module: { type: 'es6' },
        jsc: {
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true, useDefineForClassFields: false },
          target: 'es2022',
          keepClassNames: true,
        },
      });
      return { contents: code, loader: 'js' };
    });
  },
};

/** Replaces a file as a whole, and only when it changes: others may be starting from it at this moment. */
function put(file, contents) {
  if (existsSync(file) && Buffer.compare(readFileSync(file), contents) === 0) return;
  mkdirSync(path.dirname(file), { recursive: true });
  const fresh = `${file}.${process.pid}`;
  writeFileSync(fresh, contents);
  renameSync(fresh, file);
}

/** Every folder of a package in `node_modules`, by its name. */
function installedPackages() {
  const top = path.join(ROOT, 'node_modules');
  return readdirSync(top).flatMap((name) =>
    name.startsWith('@') ? readdirSync(path.join(top, name)).map((own) => `${name}/${own}`) : [name],
  );
}

/** What packages could use and nobody installed: it stays a `require` that fails where it is reached. */
function absentPackages() {
  const installed = installedPackages();
  const there = new Set(installed);
  const named = new Set();
  for (const name of installed) {
    const file = path.join(ROOT, 'node_modules', name, 'package.json');
    if (!existsSync(file)) continue;
    const { peerDependencies, optionalDependencies } = JSON.parse(readFileSync(file, 'utf8'));
    for (const other of Object.keys({ ...peerDependencies, ...optionalDependencies }))
      if (!there.has(other)) named.add(other);
  }
  return [...named];
}

/** These look for files beside themselves. */
const OUTSIDE = ['msgpackr-extract'];

const outfileOf = (name) => path.join(ROOT, 'dist', name, 'main.cjs');
/** Where it is said what a bundle was made of. */
const inputsFileOf = (name) => path.join(ROOT, 'dist', name, 'inputs.json');

/** Size and time of a file, as text. */
function lookOf(file) {
  const stat = statSync(path.join(ROOT, file), { throwIfNoEntry: false });
  return stat ? `${stat.size} ${stat.mtimeMs}` : 'gone';
}

/** Whether a bundle is there and all that it was made of is as it was. */
function isCurrent(name) {
  if (!existsSync(outfileOf(name)) || !existsSync(inputsFileOf(name))) return false;
  const inputs = JSON.parse(readFileSync(inputsFileOf(name), 'utf8'));
  return Object.entries(inputs).every(([file, look]) => lookOf(file) === look);
}

/** The files that an entry reaches, as esbuild read them: also those of which nothing is used today. */
function reachedFrom(entry, { inputs }) {
  const reached = new Set([entry]);
  for (const file of reached)
    for (const { path: next, external } of inputs[file]?.imports ?? []) if (!external) reached.add(next);
  return [...reached];
}

/** What decides about every bundle; packages are those of the lock. */
const COMMON_INPUTS = ['apps/standalone/build.mjs', 'package-lock.json', 'tsconfig.base.json'];

/**
 * Bundles `entries` (name of the bundle → entry, from the top of the checkout) into `dist/<name>/main.cjs`, those that
 * something has changed for.
 * @param packages `external`: packages are found in `node_modules` at run time.
 */
async function bundleAll(entries, packages) {
  const stale = Object.entries(entries).filter(([name]) => !isCurrent(name));
  if (stale.length === 0) return;
  // Looked at before they are read: what changes meanwhile is not taken for made.
  const before = new Map();
  const looking = {
    name: 'looking',
    setup(build) {
      build.onLoad({ filter: /\.ts$/ }, ({ path: file }) => {
        const name = path.relative(ROOT, file);
        before.set(name, lookOf(name));
        return undefined;
      });
    },
  };
  for (const file of COMMON_INPUTS) before.set(file, lookOf(file));
  const { outputFiles, metafile } = await esbuild.build({
    absWorkingDir: ROOT,
    entryPoints: stale.map(([name, entry]) => ({ in: path.join(ROOT, entry), out: `${name}/main` })),
    outdir: path.join(ROOT, 'dist'),
    outExtension: { '.js': '.cjs' },
    bundle: true,
    write: false,
    metafile: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    ...(packages === 'external'
      ? { packages }
      : { external: [...OUTSIDE, ...absentPackages()].flatMap((name) => [name, `${name}/*`]) }),
    alias: findRooms(),
    plugins: [looking, decorators],
    // No `keepNames`: closures that are made for each row would pay for having a name.
    sourcemap: true,
    sourcesContent: false,
    tsconfig: path.join(ROOT, 'tsconfig.base.json'),
    logLevel: 'warning',
    // A package that asks where another one is gets its answer when it runs.
    logOverride: { 'require-resolve-not-external': 'silent' },
  });
  for (const { path: file, contents } of outputFiles) put(file, contents);
  for (const [name, entry] of stale) {
    const files = [...COMMON_INPUTS, ...reachedFrom(entry, metafile).filter((file) => before.has(file))];
    const looks = Object.fromEntries(files.map((file) => [file, before.get(file)]));
    put(inputsFileOf(name), Buffer.from(JSON.stringify(looks)));
  }
}

/** Bundles a launcher. It uses the packages that build, test and bring servers: those stay outside. */
export const bundle = (name, entry) => bundleAll({ [name]: entry }, 'external');

export async function buildApps(names = findApps()) {
  const apps = findApps();
  for (const name of names)
    if (!apps.includes(name)) throw new Error(`There is no app "${name}"; there are ${apps.join(', ')}.`);
  const entry = (name) => `apps/${name}/src/main.ts`;
  const servers = names.filter((name) => name !== 'standalone');
  const built = await Promise.allSettled([
    bundleAll(Object.fromEntries(servers.map((name) => [name, entry(name)])), 'bundle'),
    ...(names.includes('standalone') ? [bundle('standalone', entry('standalone'))] : []),
  ]);
  const failed = built.find((result) => result.status === 'rejected');
  if (failed) throw failed.reason;
}

/** Ends esbuild's helper process, for those who live on after a build. */
export const endBuilder = () => esbuild.stop();

if (process.argv[1] && path.resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const started = performance.now();
  const names = process.argv.slice(2);
  try {
    await buildApps(names.length > 0 ? names : undefined);
    console.log(
      `built ${(names.length > 0 ? names : findApps()).join(', ')} in ${Math.round(performance.now() - started)} ms`,
    );
  } catch (error) {
    // esbuild has printed where and why.
    console.error(`build failed: ${error.message.split('\n')[0]}`);
    process.exitCode = 1;
  }
}
