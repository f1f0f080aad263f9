#!/usr/bin/env node
/**
 * Bundles apps: `apps/<app>/src/main.ts` → `dist/<app>/main.cjs`. Our own rooms are bundled in, packages stay outside.
 *
 *   node apps/standalone/build.mjs            every app
 *   node apps/standalone/build.mjs <app> …    these
 *
 * An app is any folder of `apps/` with a `src/main.ts`; a new connector needs no change here.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
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

/** Bundles `entry` (from the top of the checkout) into `dist/<name>/main.cjs`. */
export async function bundle(name, entry) {
  const outfile = path.join(ROOT, 'dist', name, 'main.cjs');
  const { outputFiles } = await esbuild.build({
    absWorkingDir: ROOT,
    entryPoints: [path.join(ROOT, entry)],
    outfile,
    bundle: true,
    write: false,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    packages: 'external',
    alias: findRooms(),
    plugins: [decorators],
    keepNames: true,
    sourcemap: true,
    tsconfig: path.join(ROOT, 'tsconfig.base.json'),
    logLevel: 'warning',
  });
  for (const { path: file, contents } of outputFiles) put(file, contents);
  return outfile;
}

export async function buildApps(names = findApps()) {
  const apps = findApps();
  for (const name of names)
    if (!apps.includes(name)) throw new Error(`There is no app "${name}"; there are ${apps.join(', ')}.`);
  const built = await Promise.allSettled(names.map((name) => bundle(name, `apps/${name}/src/main.ts`)));
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
