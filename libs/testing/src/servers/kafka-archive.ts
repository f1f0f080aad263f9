import { existsSync, renameSync, rmSync } from 'node:fs';
import { javaProgram, KAFKA_VERSION, kafkaJars } from './kafka-files.js';
import { classArchive, smallJvm } from './kafka-jvm.js';
import { startKafka } from './kafka.js';

/** Makes the archive, the first time: a node is started and ended. */
async function archiveKafka(say: (line: string) => void = () => undefined): Promise<void> {
  if (existsSync(classArchive())) return;
  say(`Preparing Kafka ${KAFKA_VERSION} (an archive of its classes) …`);
  const fresh = `${classArchive()}.${process.pid}`;
  try {
    const kafka = await startKafka({ jvm: [...smallJvm(), `-XX:ArchiveClassesAtExit=${fresh}`] });
    await kafka.nodes[0]!.shutDown();
    await kafka.stop();
    // Two callers at once do each other no harm: whoever is later replaces the same by the same.
    if (existsSync(fresh)) renameSync(fresh, classArchive());
  } finally {
    rmSync(fresh, { force: true });
  }
}

/** Everything that `startKafka` needs, so that the first test does not wait for it. */
export async function provisionKafka(say?: (line: string) => void): Promise<void> {
  javaProgram(say);
  await kafkaJars(say);
  await archiveKafka(say);
}
