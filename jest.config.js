/**
 * Three suites, told apart by the file's suffix:
 *   unit         *.spec.ts       pure, no server, under a minute in all
 *   integration  *.int.spec.ts   against real servers that the tests start themselves
 *   system       test/*.system.spec.ts   the whole product from outside
 */
const shared = {
  rootDir: __dirname,
  testEnvironment: 'node',
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1', '^fast-check$': '<rootDir>/test/properties.cjs' },
  modulePathIgnorePatterns: ['<rootDir>/dist/', '<rootDir>/.planasonix/', '<rootDir>/.nx/'],
  // ESM only, which Jest can't load before Node 24.9.
  transformIgnorePatterns: ['/node_modules/(?!jose/)'],
  transform: {
    '^.+\\.[tj]s$': [
      '@swc/jest',
      {
        swcrc: false,
        jsc: {
          parser: { syntax: 'typescript', decorators: true },
          transform: { legacyDecorator: true, decoratorMetadata: true, useDefineForClassFields: false },
          target: 'es2022',
          keepClassNames: true,
        },
        module: { type: 'commonjs' },
      },
    ],
  },
};

module.exports = {
  testSequencer: '<rootDir>/test/sequencer.cjs',
  projects: [
    {
      ...shared,
      displayName: 'unit',
      testMatch: ['<rootDir>/{apps,libs}/**/*.spec.ts'],
      testPathIgnorePatterns: ['/node_modules/', '\\.int\\.spec\\.ts$'],
      setupFilesAfterEnv: ['<rootDir>/test/patience.cjs'],
    },
    {
      ...shared,
      displayName: 'integration',
      testMatch: ['<rootDir>/{apps,libs}/**/*.int.spec.ts'],
      setupFilesAfterEnv: ['<rootDir>/test/patience.cjs'],
    },
    {
      ...shared,
      displayName: 'system',
      testMatch: ['<rootDir>/test/**/*.system.spec.ts'],
      setupFilesAfterEnv: ['<rootDir>/test/patience.cjs'],
    },
  ],
};
