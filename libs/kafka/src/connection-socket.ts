import { connect, isIP, type LookupFunction, type Socket } from 'node:net';
import { checkServerIdentity, connect as connectTls, type ConnectionOptions } from 'node:tls';
import type { Outbound } from '@planasonix/core';
import type { BrokerAddress, KafkaSettings } from './config.js';

const KEEPALIVE_MS = 10_000;
/** Node asks the resolver for names alone; under this one it asks for addresses, too. */
export const UNRESOLVED = 'broker.invalid';

/** What kafkajs asks a socket for. */
export interface SocketWish extends BrokerAddress {
  readonly ssl?: unknown;
  readonly onConnect: () => void;
}

/** The address that was judged is the one that is dialled, for each advertised address and at each reconnect (trap 34). */
export function pinnedLookup({ host, port }: BrokerAddress, outbound: Outbound): LookupFunction {
  return (_name, options, done) =>
    void outbound.resolve(host, port).then(
      (address) => {
        const family = isIP(address);
        if (options.all) done(null, [{ address, family }]);
        else done(null, address, family);
      },
      (error: unknown) => done(error as NodeJS.ErrnoException, '', 0),
    );
}

function tlsOptions(host: string, tls: NonNullable<KafkaSettings['tls']>): ConnectionOptions {
  return {
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ...(tls.ca === null ? {} : { ca: tls.ca }),
    ...(tls.cert === null ? {} : { cert: tls.cert }),
    ...(tls.key === null ? {} : { key: tls.key }),
    // The address is dialled, the name is checked.
    checkServerIdentity: (_name, cert) => checkServerIdentity(host, cert),
  };
}

/** Sockets for kafkajs. A host that may not be dialled fails with the outbound policy's own error. */
export function socketFactory(settings: KafkaSettings, outbound: Outbound): (wish: SocketWish) => Socket {
  return ({ host, port, onConnect }) => {
    const at = { host: UNRESOLVED, port, lookup: pinnedLookup({ host, port }, outbound) };
    const socket =
      settings.tls === null
        ? connect({ ...at, noDelay: true }, onConnect)
        : connectTls({ ...at, ...tlsOptions(host, settings.tls) }, onConnect);
    socket.setNoDelay(true);
    socket.setKeepAlive(true, KEEPALIVE_MS);
    return socket;
  };
}
