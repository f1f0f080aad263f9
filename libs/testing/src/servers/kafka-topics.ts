import type { Admin, ITopicConfig } from 'kafkajs';
import { eventually } from '../eventually.js';

/**
 * Makes topics, and waits until each partition has a leader. kafkajs' own waiting gives up at the first broker that has
 * not heard of the topic yet.
 */
export async function createTopics(admin: Admin, topics: readonly ITopicConfig[]): Promise<void> {
  await admin.createTopics({ topics: [...topics], waitForLeaders: false });
  const names = topics.map(({ topic }) => topic);
  await eventually(`${names.join(', ')} have leaders`, async () => {
    const { topics: found } = await admin.fetchTopicMetadata({ topics: names });
    return found.every(({ partitions }) => partitions.every(({ leader }) => leader >= 0));
  });
}
