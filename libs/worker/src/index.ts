export type { CheckAnswer, Draft } from './answers.js';
export { Answers } from './answers.js';
export { looksAfter } from './lag-probe.js';
export { LogBook } from './log-book.js';
export { runConnector } from './run-connector.js';
export { Sources } from './sources.js';
