/** What a store refuses, for the gateway to put into words. */
export class NameTaken extends Error {
  constructor(readonly resource: string) {
    super(`a ${resource} of this name exists`);
    this.name = 'NameTaken';
  }
}

export class InUse extends Error {
  constructor(
    readonly resource: string,
    readonly user: 'stream' | 'pipeline' = 'stream',
  ) {
    super(`a ${user} uses this ${resource}`);
    this.name = 'InUse';
  }
}
