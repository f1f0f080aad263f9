import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cacheDir } from './cache-dir.js';
import { systemProgram } from './system-program.js';

/** Pinned: a range makes Maven read the description of every release. */
export const KAFKA_VERSION = '4.4.0';

const HINT =
  'Kafka needs Java 17 and Maven: apt-get install openjdk-17-jre-headless maven (macOS: brew install openjdk@17 maven).';
const PACKAGES = ['openjdk-17-jre-headless', 'maven'];

type Say = (line: string) => void;

/** Path of `java`. On Debian as root it is installed when it is missing. */
export const javaProgram = (say?: Say): string =>
  systemProgram({ names: ['java'], packages: PACKAGES, hint: HINT }, say);

/** Path of Java's `keytool`, which makes the brokers' certificate. */
export const keytoolProgram = (say?: Say): string =>
  systemProgram({ names: ['keytool'], packages: PACKAGES, hint: HINT }, say);

const mavenProgram = (say?: Say): string => systemProgram({ names: ['mvn'], packages: PACKAGES, hint: HINT }, say);

const dependency = (group: string, artifact: string, version: string): string =>
  `<dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version></dependency>`;

const pom = (): string =>
  `<project><modelVersion>4.0.0</modelVersion><groupId>planasonix</groupId><artifactId>kafka</artifactId><version>1</version><dependencies>${dependency(
    'org.apache.kafka',
    'kafka_2.13',
    KAFKA_VERSION,
  )}${dependency('org.slf4j', 'slf4j-simple', '1.7.36')}</dependencies></project>`;

const COPY = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies';

/** The folder of Apache's own jars, 43 MB, fetched with Maven the first time. */
export async function kafkaJars(say: Say = () => undefined): Promise<string> {
  const cache = cacheDir();
  const jars = join(cache, `kafka-${KAFKA_VERSION}`);
  if (existsSync(jars)) return jars;
  const maven = mavenProgram(say);
  say(`Fetching Kafka ${KAFKA_VERSION} (Maven) …`);
  mkdirSync(cache, { recursive: true });
  // Into a folder of its own, then renamed: two callers at once do each other no harm.
  const fresh = mkdtempSync(join(cache, 'fetch-'));
  try {
    writeFileSync(join(fresh, 'pom.xml'), pom());
    const args = ['-q', '-B', '-f', join(fresh, 'pom.xml'), COPY, '-DincludeScope=runtime'];
    await promisify(execFile)(maven, [...args, `-DoutputDirectory=${join(fresh, 'lib')}`]);
    try {
      renameSync(join(fresh, 'lib'), jars);
    } catch (error) {
      if (!existsSync(jars)) throw error;
    }
    return jars;
  } catch (error) {
    const said = (error as { stdout?: string }).stdout?.trim().split('\n').slice(-5).join('\n');
    throw new Error(`Maven could not fetch Kafka ${KAFKA_VERSION}: ${said || (error as Error).message}`);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}
