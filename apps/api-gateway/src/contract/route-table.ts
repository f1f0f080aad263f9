import { allRoutes, PREFIXES, type Method, type RouteSpec } from './route.js';

/** The pages for people, which are no part of the contract. */
const DOCS = /^\/(?:v1\/)?api\/docs(?:\/[^/]+)?$/;
const METHODS: readonly Method[] = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'];

interface Entry {
  readonly spec: RouteSpec;
  readonly pattern: RegExp;
}

/** Finds routes by what the router matched, and what an address that matched nothing would have taken. */
export class RouteTable {
  private readonly byUrl = new Map<string, RouteSpec>();
  private readonly entries: readonly Entry[];
  /** Paths without a parameter. */
  private readonly literals: ReadonlySet<string>;

  constructor(routes: readonly RouteSpec[] = allRoutes()) {
    this.entries = routes.map((spec) => ({
      spec,
      pattern: new RegExp(`^/(?:v1/)?api${spec.path.replace(/\{\w+\}/g, '[^/]+')}$`),
    }));
    this.literals = new Set(routes.map(({ path }) => path).filter((path) => !path.includes('{')));
    for (const spec of routes)
      for (const prefix of PREFIXES)
        this.byUrl.set(`${spec.method} /${prefix}${spec.path.replace(/\{(\w+)\}/g, ':$1')}`, spec);
  }

  /** @param url the pattern that the router matched, such as `/api/streams/:id`. */
  find(method: string, url: string | undefined): RouteSpec | null {
    return this.byUrl.get(`${method === 'HEAD' ? 'GET' : method} ${url}`) ?? null;
  }

  /** Whether the router took for an id what is an address of its own, only with other methods. */
  isLiteral(path: string, matched: RouteSpec): boolean {
    return matched.path.includes('{') && this.literals.has(path.replace(/^\/(?:v1\/)?api/, ''));
  }

  /** Methods that an address takes; empty for an unknown one. A literal segment wins over a parameter, as in the router. */
  allowed(path: string): readonly Method[] {
    if (DOCS.test(path)) return ['GET'];
    const matching = this.entries.filter(({ pattern }) => pattern.test(path));
    const literal = matching.filter(({ spec }) => path.endsWith(spec.path));
    const methods = new Set((literal.length > 0 ? literal : matching).map(({ spec }) => spec.method));
    return METHODS.filter((method) => methods.has(method));
  }
}
