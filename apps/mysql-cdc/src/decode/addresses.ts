/** MariaDB's UUID, INET6 and INET4 as its server shows them. */

export function uuidText(bytes: Buffer): string {
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

export const inet4Text = (bytes: Buffer): string => bytes.subarray(0, 4).join('.');

/** The longest run of zero groups is `::`; addresses that hold an IPv4 one end in it. */
export function inet6Text(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(i * 2));
  let gap = { at: -1, length: 0 };
  for (let i = 0; i < 8; i++) {
    let length = 0;
    while (i + length < 8 && groups[i + length] === 0) length++;
    if (length > gap.length) gap = { at: i, length };
    i += length;
  }
  const dotted = gap.at === 0 && (gap.length === 6 || (gap.length === 5 && groups[5] === 0xffff));
  const last = dotted ? 6 : 8;
  let text = '';
  for (let i = 0; i < last; i++) {
    if (i === gap.at && gap.length > 0) {
      text += i === 0 ? '::' : ':';
      i += gap.length - 1;
      continue;
    }
    text += groups[i]!.toString(16);
    if (i < 7) text += ':';
  }
  return dotted ? text + inet4Text(bytes.subarray(12)) : text;
}
