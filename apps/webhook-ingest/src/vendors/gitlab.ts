import type { Vendor } from './vendor.js';

/** It sends its secret as it is and signs nothing. */
export const gitlab: Vendor = {
  name: 'gitlab',
  proof: { tokenHeader: 'x-gitlab-token' },
  eventId: { header: 'x-gitlab-event-uuid' },
  idIsSigned: false,
  eventType: { header: 'x-gitlab-event' },
};
