import { parseLsn, type GateSlot } from '../decode/index.js';
import { visibilityOf } from './chunk-reader.js';
import type { SiftState } from './rows-state.js';
import { Sift } from './table-watch.js';

/** Tables that were read as a whole while the stream stood: what their rows hold already is left out behind them. */
export class Sifts {
  private open: readonly SiftState[] = [];

  constructor(private readonly slotOf: (oid: number) => GateSlot) {}

  /** What has to be kept. */
  get state(): readonly SiftState[] {
    return this.open;
  }

  add(sift: SiftState): void {
    this.open = [...this.open.filter((one) => one.oid !== sift.oid), sift];
    this.slotOf(sift.oid).gate = new Sift(visibilityOf(sift.held));
  }

  /** The stream has been handed over up to `lsn`. */
  passed(lsn: bigint): void {
    if (this.open.length === 0) return;
    const past = this.open.filter((sift) => lsn > parseLsn(sift.until));
    for (const { oid } of past) {
      const slot = this.slotOf(oid);
      if (slot.gate instanceof Sift) slot.gate = null;
    }
    if (past.length > 0) this.open = this.open.filter((sift) => !past.includes(sift));
  }
}
