import type { Actor } from '@planasonix/store';
import type { Call } from '../contract/route.js';

/** Who is written into the audit log. */
export const actorOf = (call: Call): Actor => ({
  workspaceId: call.caller.workspaceId,
  keyId: call.caller.keyId,
  address: call.address,
  requestId: call.requestId,
});
