import type { ChangeEvent } from '@planasonix/core';

interface Data {
  readonly op: string;
  readonly after: Record<string, unknown> | null;
  readonly unchanged: readonly string[];
  readonly source: { readonly commit_lsn: string; readonly seq: number };
}

/** Subject and key → the newest row, as a reader who knows nothing but the contract makes it. */
export function fold(events: readonly ChangeEvent[]): Map<string, Record<string, unknown>> {
  const rows = new Map<string, Record<string, unknown>>();
  let gone: { place: string; row: Record<string, unknown> | undefined } | null = null;
  let nameless = 0;
  for (const event of events) {
    const data = JSON.parse(event.data.toString()) as Data;
    const at = `${event.subject} ${event.partitionkey === '' ? `#${nameless++}` : event.partitionkey}`;
    const { commit_lsn: lsn, seq } = data.source;
    const moved = gone?.place === `${lsn} ${seq}` ? gone.row : undefined;
    gone = data.op === 'd' ? { place: `${lsn} ${seq + 1}`, row: rows.get(at) } : null;
    if (data.op === 't') {
      for (const key of [...rows.keys()]) if (key.startsWith(`${event.subject} `)) rows.delete(key);
    } else if (data.op === 'd') rows.delete(at);
    else {
      const before = rows.get(at) ?? moved;
      const kept = Object.fromEntries(data.unchanged.map((name) => [name, before?.[name]]));
      rows.set(at, { ...kept, ...data.after });
    }
  }
  return rows;
}
