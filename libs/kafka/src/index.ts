export { CLIENT_ID, kafkaJs, type ClientOptions } from './client.js';
export { addressText, brokerAddress, kafkaSettings, type BrokerAddress, type KafkaSettings } from './config.js';
export { KafkaError, toStreamError } from './connection-error.js';
