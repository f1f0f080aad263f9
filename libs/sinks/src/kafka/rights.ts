import type { Check } from '@planasonix/core';
import { mayUseTransactions } from '@planasonix/kafka';
import { JOURNAL_PREFIX } from './journal.js';
import type { Reached } from './kafka-cluster.js';

/** Of all streams: what may be done with these may be done with any of theirs. */
const TRANSACTIONS_PREFIX = 'planasonix.';
const TRIAL = 'preflight';

const allow = (operations: readonly string[], what: string): string =>
  `kafka-acls.sh --bootstrap-server … --add --allow-principal User:<user> ${operations.map((one) => `--operation ${one}`).join(' ')} ${what}`;

const denied = (message: string, fix: string, severity: Check['severity'] = 'error'): Check => ({
  ...{ code: 'permission_denied', severity, message, fix },
});

const ALLOW_OWN = allow(
  ['Create', 'Write', 'Read', 'Describe', 'AlterConfigs', 'DescribeConfigs', 'Delete'],
  `--topic ${JOURNAL_PREFIX} --resource-pattern-type prefixed`,
);

/** What the user of the connection needs for every log: transactions, and the topics in which streams keep their positions. */
export async function ownRights({ cluster, admin }: Reached): Promise<Check[]> {
  const found: Check[] = [];
  if (!(await mayUseTransactions(cluster, TRANSACTIONS_PREFIX + TRIAL)))
    found.push(
      denied(
        `The user may not write in transactions: Write and Describe are missing on the transactional ids ${TRANSACTIONS_PREFIX}*.`,
        allow(['Write', 'Describe'], `--transactional-id ${TRANSACTIONS_PREFIX} --resource-pattern-type prefixed`),
      ),
    );
  if (!(await admin.mayCreate(JOURNAL_PREFIX + TRIAL)))
    found.push(
      denied(
        `The user may not make the topics in which positions are kept: Create is missing on ${JOURNAL_PREFIX}*.`,
        ALLOW_OWN,
      ),
    );
  return found;
}

export const topicDenied = (topic: string, creates: boolean): Check =>
  denied(
    `The user may not write to the topic ${topic}: ${creates ? 'Create, ' : ''}Write and Describe are needed.`,
    allow([...(creates ? ['Create'] : []), 'Write', 'Describe', 'Read', 'DescribeConfigs'], `--topic ${topic}`),
  );

/** @param template with placeholders for what is not known before */
export const creationDenied = (template: string): Check =>
  denied(
    `The user may not make topics of names like ${template}: Create, Write and Describe are needed.`,
    allow(
      ['Create', 'Write', 'Describe', 'Read', 'DescribeConfigs'],
      `--topic '${template.replace(/\{.*/s, '') || '*'}'${/^[^{]/.test(template) ? ' --resource-pattern-type prefixed' : ''}`,
    ),
  );

/** @param topic one of ours */
export const ownTopicsDenied = (topic: string): Check =>
  denied(
    `The user may not write and read ${topic}: Write, Read and Describe are needed on ${JOURNAL_PREFIX}*.`,
    ALLOW_OWN,
  );

export const unreadable = (topic: string): Check =>
  denied(
    `The user may not read the topic ${topic}: the log can be written, and not looked into.`,
    allow(['Read'], `--topic ${topic}`),
    'warning',
  );

/** What the topic takes is asked with this right alone; without it writing is slower, and what is wrong is found late. */
export const unasked = (topic: string): Check =>
  denied(
    `The user may not ask for the settings of the topic ${topic}: the largest event that it takes, and whether it keeps what it is given, are not known.`,
    allow(['DescribeConfigs'], `--topic ${topic}`),
    'warning',
  );
