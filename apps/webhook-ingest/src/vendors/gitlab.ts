import { standardWebhooks } from './standard-webhooks.js';
import type { Vendor } from './vendor.js';

/** Its secret token: it is sent as it is, and nothing is signed. */
export const gitlab: Vendor = {
  name: 'gitlab',
  proof: { tokenHeader: 'x-gitlab-token' },
  eventId: { header: 'x-gitlab-event-uuid' },
  idIsSigned: false,
  eventType: { header: 'x-gitlab-event' },
};

/** Its signing token (`whsec_…`): Standard Webhooks. */
export const gitlabSigned: Vendor = {
  ...standardWebhooks,
  name: 'gitlab_signed',
  eventType: { header: 'x-gitlab-event' },
};
