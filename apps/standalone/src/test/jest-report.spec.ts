import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { tempDir } from '@planasonix/testing';
import { readJestReport } from './jest-report.js';

it('counts a file that could not run as failed, and names every failure', () => {
  const file = path.join(tempDir('report'), 'unit.json');
  const test = (status: string, fullName: string) => ({
    status,
    fullName,
    failureMessages: status === 'failed' ? ['why'] : [],
  });
  writeFileSync(
    file,
    JSON.stringify({
      numPassedTests: 2,
      numFailedTests: 1,
      numRuntimeErrorTestSuites: 1,
      testResults: [
        {
          name: 'a.spec.ts',
          status: 'failed',
          message: 'm',
          assertionResults: [test('passed', 'p'), test('failed', 'f')],
        },
        { name: 'b.spec.ts', status: 'failed', message: 'syntax error', assertionResults: [] },
        { name: 'c.spec.ts', status: 'passed', message: '', assertionResults: [test('passed', 'q')] },
      ],
    }),
  );
  expect(readJestReport(file)).toEqual({
    passed: 2,
    failed: 2,
    failures: ['a.spec.ts\n  f\nwhy', 'b.spec.ts\nsyntax error'],
  });
});
