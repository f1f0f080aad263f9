export {
  CLIENT_ID,
  type Call,
  type KafkaClient,
  type Link,
  type LinkOptions,
  type NewTopic,
  type Reach,
} from './client.js';
export { inflate } from './consumer-codec.js';
export { CLIENT } from './default-client.js';
export { addressText, brokerAddress, kafkaSettings, type BrokerAddress, type KafkaSettings } from './config.js';
export { pinnedLookup, UNRESOLVED } from './connection-socket.js';
export { KafkaError, toStreamError } from './connection-error.js';
export { KafkaCluster, type ClusterOptions } from './client-cluster.js';
export {
  EARLIEST,
  LATEST,
  type ClusterView,
  type GroupOffset,
  type OffsetAsk,
  type OffsetEnd,
  type OffsetFound,
  type PartitionView,
  type ReadSoFar,
  type TopicOperation,
  type TopicView,
} from './client-requests.js';
export {
  partitionName,
  ReadObstacle,
  type Obstacle,
  type PartitionReader,
  type Place,
  type RecordChunk,
} from './consumer.js';
export { type KafkaRecord, type RecordHeader } from './consumer-batch.js';
export { FetchReader, type ReaderOptions } from './consumer-reader.js';
export type { OutRecord } from './record-batch.js';
export { HeaderWriter, headerName, type OutHeaders } from './record-headers.js';
export { ProducerRoutes, type TopicFacts } from './producer-routes.js';
export { changeSettings, topicSettings, type SettingChanges } from './producer-settings.js';
export { mayUseTransactions, TopicAdmin } from './producer-topics.js';
export { TransactionalProducer, type TransactionOptions } from './transaction.js';
export { TransactionLost } from './transaction-lost.js';
export { type PartitionRecords } from './transaction-writer.js';
export { lookAt, type LookOptions } from './producer-view.js';
