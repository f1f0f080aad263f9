import { readFileSync } from 'node:fs';

/** The part of jest's `--json` output that is read here. */
interface JestReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  /** Files that could not be run at all, such as for a syntax error. */
  readonly numRuntimeErrorTestSuites: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message: string;
    readonly assertionResults: readonly {
      readonly status: string;
      readonly fullName: string;
      readonly failureMessages: readonly string[];
    }[];
  }[];
}

export interface Counted {
  readonly passed: number;
  readonly failed: number;
  /** One text per failed test or file. */
  readonly failures: readonly string[];
}

/** @throws when jest wrote no report. */
export function readJestReport(file: string): Counted {
  const report = JSON.parse(readFileSync(file, 'utf8')) as JestReport;
  const failures: string[] = [];
  for (const { name, status, message, assertionResults } of report.testResults) {
    const failed = assertionResults.filter((result) => result.status === 'failed');
    for (const { fullName, failureMessages } of failed)
      failures.push(`${name}\n  ${fullName}\n${failureMessages.join('\n')}`);
    if (status === 'failed' && failed.length === 0) failures.push(`${name}\n${message}`);
  }
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + report.numRuntimeErrorTestSuites,
    failures,
  };
}
