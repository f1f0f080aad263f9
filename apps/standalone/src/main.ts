import path from 'node:path';
import { guardEnded } from '@planasonix/testing';
import { runDemo } from './demo/demo.js';
import { serve, start } from './start.js';
import { runTests } from './test/run-tests.js';

/** The top of the checkout: this file runs as `dist/standalone/main.cjs`. */
const ROOT = path.resolve(__dirname, '../..');

async function main([command, ...args]: readonly string[]): Promise<number> {
  switch (command) {
    case 'start':
      return start(ROOT);
    case 'serve':
      return serve(ROOT, args[0]);
    case 'demo':
      return runDemo(ROOT, args);
    case 'test':
      return runTests(ROOT);
    default:
      throw new Error(`There is no command "${command}".`);
  }
}

async function end(code: number): Promise<void> {
  await guardEnded();
  process.exit(code);
}

void main(process.argv.slice(2)).then(
  (code) => end(code),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return end(1);
  },
);
