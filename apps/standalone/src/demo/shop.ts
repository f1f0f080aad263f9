/** Customers come and go: live writes of every kind, from several sessions at once. */
export interface Shop {
  /** Writes until `signal` is aborted; resolves when the last transaction has ended. */
  trade(signal: AbortSignal): Promise<void>;
  /** Commits a row that is the last thing so far, and gives its number. */
  mark(): Promise<number>;
  readonly committed: number;
  readonly rolledBack: number;
}

/** Statements of one transaction. `ROLLBACK` at the end undoes them. */
export type Deal = readonly string[];

/** The shop in the words of one kind of server. */
export interface Trade {
  /** Makes the tables, and what is there before the stream starts, so that there is something to take a snapshot of. */
  readonly opening: readonly string[];
  /** Weight and what is done. */
  readonly deals: readonly (readonly [number, () => Deal])[];
  /** Two sessions that wanted the same rows: one of them is undone by the server, as in any shop. */
  isLostRace(error: unknown): boolean;
}

export interface Session {
  query(sql: string): Promise<unknown>;
}

function nextDeal({ deals }: Trade): Deal {
  let left = Math.random() * deals.reduce((sum, [weight]) => sum + weight, 0);
  for (const [weight, make] of deals) if ((left -= weight) <= 0) return make();
  return deals[0]![1]();
}

export async function openShop(sessions: readonly Session[], trade: Trade): Promise<Shop> {
  const [first] = sessions;
  for (const statement of trade.opening) await first!.query(statement);
  let committed = 0;
  let rolledBack = 0;
  let marks = 0;

  async function make(session: Session, deal: Deal): Promise<void> {
    try {
      for (const statement of ['BEGIN', ...deal]) await session.query(statement);
      if (deal.at(-1) === 'ROLLBACK') rolledBack++;
      else {
        await session.query('COMMIT');
        committed++;
      }
    } catch (error) {
      await session.query('ROLLBACK');
      if (!trade.isLostRace(error)) throw error;
      rolledBack++;
    }
  }

  return {
    async trade(signal) {
      await Promise.all(
        sessions.map(async (session) => {
          while (!signal.aborted) {
            await make(session, nextDeal(trade));
            // Business comes in waves.
            const wave = 1 + 0.8 * Math.sin(Date.now() / 6000);
            await new Promise((resolve) => setTimeout(resolve, (8 + Math.random() * 24) / wave));
          }
        }),
      );
    },
    async mark() {
      await first!.query(`INSERT INTO shop.marks (id) VALUES (${++marks})`);
      return marks;
    },
    get committed() {
      return committed;
    },
    get rolledBack() {
      return rolledBack;
    },
  };
}
