import { EARLIEST, LATEST, topicSettings } from '@planasonix/kafka';
import { JOURNAL_PREFIX } from './journal.js';
import type { Reached } from './kafka-cluster.js';

/** Removes the journals of streams that were deleted a while ago: the broker has let go of what was in them. */
export async function sweepJournals({ cluster, admin }: Reached, signal: AbortSignal): Promise<void> {
  const { topics } = await cluster.view(null);
  const gone: string[] = [];
  for (const { topic } of topics) {
    if (!topic.startsWith(JOURNAL_PREFIX)) continue;
    if ((await topicSettings(cluster, topic))?.get('cleanup.policy') !== 'delete') continue;
    const ends = await Promise.all(
      [EARLIEST, LATEST].map((timestamp) => cluster.offsets([{ topic, partition: 0, timestamp }], signal)),
    );
    const [start, end] = ends.map(([found]) => found!);
    if (start!.error === 0 && end!.error === 0 && start!.offset === end!.offset) gone.push(topic);
  }
  if (gone.length > 0) await admin.remove(gone);
}
