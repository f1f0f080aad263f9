import { authPlugins, type AuthPlugin } from 'mysql2';

/** The server asks for the password over a connection that is not encrypted. */
export class PlainLoginRefused extends Error {
  constructor() {
    super('the server asks for the password over a connection that is not encrypted');
  }
}

const refuse = (): never => {
  throw new PlainLoginRefused();
};

/**
 * Where TLS was not to be had and nobody asked to go without. The password would be encrypted with whatever key comes over
 * the plain connection: whoever has taken it would read the password. What proves the password by a digest stays.
 */
export const PLAIN_LOGIN: Readonly<Record<string, AuthPlugin>> = {
  caching_sha2_password: authPlugins.caching_sha2_password({ onServerPublicKey: refuse }),
  sha256_password: authPlugins.sha256_password({ onServerPublicKey: refuse }),
};
