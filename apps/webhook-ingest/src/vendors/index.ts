import { discord } from './discord.js';
import { docusign } from './docusign.js';
import { github } from './github.js';
import { gitlab, gitlabSigned } from './gitlab.js';
import { hubspot } from './hubspot.js';
import { intercom } from './intercom.js';
import { linear } from './linear.js';
import { mailgun } from './mailgun.js';
import { paddle } from './paddle.js';
import { paypal } from './paypal.js';
import { planasonix } from './planasonix.js';
import { sendgrid } from './sendgrid.js';
import { shopify } from './shopify.js';
import { slack } from './slack.js';
import { square } from './square.js';
import { standardWebhooks, svix } from './standard-webhooks.js';
import { stripe } from './stripe.js';
import { twilio } from './twilio.js';
import type { Vendor } from './vendor.js';
import { zoom } from './zoom.js';

/** One line per vendor. */
const VENDORS: readonly Vendor[] = [
  ...[
    stripe,
    github,
    gitlab,
    gitlabSigned,
    shopify,
    slack,
    standardWebhooks,
    svix,
    twilio,
    paddle,
    zoom,
    square,
    hubspot,
  ],
  ...[mailgun, sendgrid, docusign, intercom, linear, discord, paypal, planasonix],
];

export const vendors: ReadonlyMap<string, Vendor> = new Map(VENDORS.map((vendor) => [vendor.name, vendor]));
export { headersOf, type Handshake, type Place, type Vendor } from './vendor.js';
