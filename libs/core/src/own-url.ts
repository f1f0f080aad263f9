/** Where somebody on this machine finds what listens on `host`: everywhere is also here, and IPv6 stands in brackets. */
export function urlOf(host: string, port: number): string {
  const at = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
  return `http://${at.includes(':') ? `[${at}]` : at}:${port}`;
}
