import { standardWebhooks } from './standard-webhooks.js';
import type { Vendor } from './vendor.js';

/**
 * Its secret token: it is sent as it is, and nothing is signed. A retry has the key of the first try, since GitLab 17.4; the
 * other id is one for all webhooks that set each other off.
 */
export const gitlab: Vendor = {
  name: 'gitlab',
  proof: { tokenHeader: 'x-gitlab-token' },
  eventId: { headers: ['idempotency-key', 'x-gitlab-event-uuid'] },
  idIsSigned: false,
  eventType: { header: 'x-gitlab-event' },
};

/** Its signing token (`whsec_…`): Standard Webhooks. */
export const gitlabSigned: Vendor = {
  ...standardWebhooks,
  name: 'gitlab_signed',
  eventType: { header: 'x-gitlab-event' },
};
