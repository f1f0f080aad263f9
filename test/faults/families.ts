import { kills } from './kills.js';

export const FAMILIES = [kills];
