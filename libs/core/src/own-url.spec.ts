import { urlOf } from './own-url.js';

it('what listens everywhere is found on this machine, and IPv6 stands in brackets', () => {
  expect(['0.0.0.0', '::', '10.0.0.5', '::1', 'localhost'].map((host) => urlOf(host, 3000))).toEqual([
    'http://127.0.0.1:3000',
    'http://[::1]:3000',
    'http://10.0.0.5:3000',
    'http://[::1]:3000',
    'http://localhost:3000',
  ]);
});
