/** What a store refuses, for the gateway to put into words. */
export class NameTaken extends Error {
  constructor(readonly resource: string) {
    super(`a ${resource} of this name exists`);
    this.name = 'NameTaken';
  }
}

export class InUse extends Error {
  constructor(readonly resource: string) {
    super(`a stream uses this ${resource}`);
    this.name = 'InUse';
  }
}
