// Real servers on a slow machine: a limit that says that a test hangs, not how fast it is. (`testTimeout` of a project is
// not heeded by jest-circus 30.)
jest.setTimeout(90_000);
