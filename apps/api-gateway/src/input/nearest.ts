import { distance } from 'fastest-levenshtein';
import { snake } from './casing.js';

/** The known name that a mistyped one most likely meant, or `null` when none is near. */
export function nearest(given: string, known: readonly string[]): string | null {
  if (given.length > 100) return null;
  const wanted = snake(given).replaceAll('-', '_');
  let best: string | null = null;
  let least = Infinity;
  for (const name of known) {
    const far = distance(wanted, snake(name));
    if (far < least) [best, least] = [name, far];
  }
  return least <= Math.max(2, Math.floor(wanted.length / 2)) ? best : null;
}

/** What to say about a key that is not known, with the nearest name. */
export function unknownKeyHint(given: string, known: readonly string[]): string {
  const near = nearest(given, known);
  if (near !== null) return `Did you mean "${near}"?`;
  return known.length === 0 ? 'No keys are known here.' : `Known here: ${known.join(', ')}.`;
}
