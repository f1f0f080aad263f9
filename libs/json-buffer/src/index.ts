export { EventEnd } from './event-end.js';
export { isJsonText } from './json-check.js';
export { JsonBuffer } from './json-buffer.js';
export { Piece, piece } from './piece.js';
export { forgetBytes, tabFrom } from './words.js';
