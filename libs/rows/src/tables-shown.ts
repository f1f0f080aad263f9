/** So many tables at most are shown in a stream's progress: of those being read, and of those that are over the last ones. */
export const TABLES_SHOWN = 200;
