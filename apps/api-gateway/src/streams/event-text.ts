import type { LogEntry } from '@planasonix/core';

/** An entry as JSON text. Its data goes through as the text that it is: parsing would lose digits and key order. */
export function entryText(entry: LogEntry): string {
  const { data, id, ...attributes } = entry;
  const head = JSON.stringify({ ...attributes });
  const inner = data === '' ? 'null' : data;
  return `{"id":${JSON.stringify(id)},"type":"event","attributes":${head.slice(0, -1)},"data":${inner}}}`;
}

export function pageText(entries: readonly LogEntry[], limit: number, after: string | null): string {
  const cursor = entries.at(-1)?.cursor ?? after;
  return `{"data":[${entries.map(entryText).join(',')}],"meta":{"page":${JSON.stringify({ limit, cursor })}}}`;
}

/** One server-sent event, whose lines end at CR, too; `id` is what `Last-Event-ID` brings back. */
export const sseText = (entry: LogEntry): string =>
  `id: ${entry.cursor}\nevent: event\ndata: ${entryText(entry).replace(/\r\n|\r|\n/g, ' ')}\n\n`;
