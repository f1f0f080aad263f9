export { EventEnd } from './event-end.js';
export { JsonBuffer } from './json-buffer.js';
export { tabFrom } from './words.js';
