import { readdirSync } from 'node:fs';
import nx from '@nx/eslint-plugin';
import tseslint from 'typescript-eslint';

const lib = (name, ...on) => ({
  sourceTag: `scope:${name}`,
  onlyDependOnLibsWithTags: on.map((other) => `scope:${other}`),
});

const tagsOf = (folder, tag) => readdirSync(new URL(`./${folder}`, import.meta.url)).map((name) => `${tag}:${name}`);
const ROOMS = [...tagsOf('apps', 'app'), ...tagsOf('libs', 'scope')];

/** Drivers, and the rooms that they stay in. */
const DRIVERS = {
  pg: ['app:postgres-cdc', 'app:standalone', 'scope:store', 'scope:testing'],
  'pg-logical-replication': ['app:postgres-cdc'],
  mysql2: ['app:mysql-cdc', 'app:standalone'],
  kafkajs: ['scope:kafka', 'scope:service'],
  protobufjs: ['app:kafka-ingest'],
  fzstd: ['scope:kafka', 'app:mysql-cdc'],
  jose: ['app:webhook-ingest'],
  bullmq: ['scope:lifecycle'],
};
const driversStay = ROOMS.map((room) => ({
  sourceTag: room,
  bannedExternalImports: Object.entries(DRIVERS)
    .filter(([, rooms]) => !rooms.includes(room))
    .flatMap(([driver]) => [driver, `${driver}/*`]),
}));

/** Who may import whom. A room that is not named here may import nothing. */
const depConstraints = [
  // Pure: no driver, no framework.
  { ...lib('core'), bannedExternalImports: ['*'] },
  { ...lib('engine', 'core'), bannedExternalImports: ['*'] },
  lib('store', 'core'),
  lib('kafka', 'core'),
  lib('rows', 'core'),
  lib('sinks', 'core', 'kafka'),
  lib('metrics', 'core'),
  lib('service', 'core', 'kafka'),
  lib('outbound', 'core'),
  lib('lifecycle', 'core', 'store'),
  lib('worker', 'core', 'engine', 'store', 'sinks', 'metrics', 'service', 'outbound', 'lifecycle'),
  { sourceTag: 'type:app', onlyDependOnLibsWithTags: ['type:lib'] },
  ...driversStay,
];

export default tseslint.config(
  { ignores: ['**/node_modules', 'dist', '.nx', '.planasonix', '**/*.js', '**/*.mjs', '**/*.cjs'] },
  ...tseslint.configs.recommendedTypeChecked,
  {
    languageOptions: { parserOptions: { project: ['./tsconfig.json'], tsconfigRootDir: import.meta.dirname } },
    plugins: { '@nx': nx },
    rules: {
      '@nx/enforce-module-boundaries': ['error', { enforceBuildableLibDependency: false, allow: [], depConstraints }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/no-explicit-any': 'error',
      'no-restricted-syntax': [
        'error',
        { selector: 'TSEnumDeclaration', message: 'String-literal unions, not enums.' },
      ],
    },
  },
  {
    // What takes a driver's place has one seam: `client.ts`. Nothing else knows which one stands behind it.
    files: ['libs/kafka/src/**/*.ts'],
    ignores: ['libs/kafka/src/kafkajs/**', 'libs/kafka/src/default-client.ts', '**/*.spec.ts', '**/*-under-test.ts'],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          patterns: [
            { group: ['kafkajs', 'kafkajs/*', '**/kafkajs/*'], message: 'Over KafkaClient (client.ts) alone.' },
          ],
        },
      ],
    },
  },
  {
    files: ['**/*.spec.ts', '**/*-under-test.ts', 'test/**/*.ts', 'libs/testing/**/*.ts'],
    rules: {
      // A spec may use the real servers of libs/testing from any room, and reads untyped JSON from outside.
      '@nx/enforce-module-boundaries': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
      '@typescript-eslint/require-await': 'off',
    },
  },
);
