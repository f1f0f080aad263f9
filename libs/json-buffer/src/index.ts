export { EventEnd } from './event-end.js';
export { JsonBuffer } from './json-buffer.js';
