/** Exit code of an app whose environment is not right (`EX_CONFIG` of sysexits): starting it again changes nothing. */
export const EXIT_CONFIG = 78;
