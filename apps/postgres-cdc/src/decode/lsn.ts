/** A place in the WAL, 64 bits, as text: `16/B374D848`, the way the server writes it. */
export const lsnText = (lsn: bigint): string =>
  `${(lsn >> 32n).toString(16)}/${(lsn & 0xffffffffn).toString(16)}`.toUpperCase();

export function parseLsn(text: string): bigint {
  const match = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/.exec(text);
  if (match === null) throw new Error('not an LSN');
  return (BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`);
}

/** @param order of a change: the LSN of its commit, as `lsnKey` writes it, begins it */
export const orderLsn = (order: string): bigint => BigInt(`0x${order.slice(0, 16)}`);

/** Sixteen hex digits: compares as text like the number. */
export const lsnKey = (lsn: bigint): string => lsn.toString(16).toUpperCase().padStart(16, '0');
