export type { CheckAnswer, Draft } from './answers.js';
export { runConnector } from './run-connector.js';
