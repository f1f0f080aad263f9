/** Token: base of the addresses that deliveries go to. */
export const INGEST_BASE = 'INGEST_BASE';
