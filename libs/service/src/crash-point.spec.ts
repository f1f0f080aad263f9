import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { crashPoints, parseCrash } from './crash-point.js';
import { EnvError, readEnv } from './env.js';

describe('crash points', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'planasonix-crash-'));
  const file = path.join(folder, 'crash');
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('are read as a step and a count', () => {
    expect(parseCrash('log-appended')).toEqual({ step: 'log-appended', count: 1 });
    expect(parseCrash('acknowledged:12\n')).toEqual({ step: 'acknowledged', count: 12 });
    for (const wrong of ['', 'nowhere:1', 'log-appended:0', 'log-appended:x', 'log-appended:1:2'])
      expect(parseCrash(wrong)).toBeNull();
  });

  it('end one process at the step that is named, at its count, once', () => {
    const ends: string[] = [];
    writeFileSync(file, 'log-appended:3');
    const first = crashPoints(file, () => ends.push('first'))!;
    const second = crashPoints(file, () => ends.push('second'))!;
    for (let i = 0; i < 2; i++) first('log-appended');
    first('acknowledged');
    expect(ends).toEqual([]);
    first('log-appended');
    expect(ends).toEqual(['first']);
    expect(existsSync(file)).toBe(false);
    for (let i = 0; i < 5; i++) second('log-appended');
    expect(ends).toEqual(['first']);
    writeFileSync(file, 'acknowledged');
    second('acknowledged');
    expect(ends).toEqual(['first', 'second']);
  });

  it('are no hook at all without a file, and refused in production', () => {
    expect(crashPoints(undefined)).toBeUndefined();
    const right = {
      DATABASE_URL: 'postgres://u:p@127.0.0.1:5432/meta',
      REDIS_URL: 'redis://127.0.0.1:6379',
      ENCRYPTION_KEY: Buffer.alloc(32, 1).toString('base64'),
      CRASH_FILE: file,
    };
    expect(readEnv({}, right).CRASH_FILE).toBe(file);
    expect(() => readEnv({}, { ...right, NODE_ENV: 'production' })).toThrow(EnvError);
  });
});
