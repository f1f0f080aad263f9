/** An object or a list that is open where the text is being read. */
interface Level {
  /** Keys so far; `null`: a list. */
  readonly keys: Set<string> | null;
  /** The key or the index that is being read. */
  at: string | number;
}

const QUOTE = '"'.charCodeAt(0);
const BACKSLASH = '\\'.charCodeAt(0);

/**
 * The path of the first key that stands twice in one object, or `null`. The parser takes the last one without a word;
 * whoever looked at the body before us may have taken the first.
 * @param text JSON that has been parsed, and is no deeper than the stack of a reader. Read once, from front to end.
 */
export function repeatedKey(text: string): (string | number)[] | null {
  const open: Level[] = [];
  let keyNext = false;
  for (let i = 0; i < text.length; i++) {
    const level = open.at(-1);
    switch (text[i]) {
      case '{':
        open.push({ keys: new Set(), at: '' });
        keyNext = true;
        break;
      case '[':
        open.push({ keys: null, at: 0 });
        keyNext = false;
        break;
      case '}':
      case ']':
        open.pop();
        keyNext = false;
        break;
      case ',':
        if (typeof level?.at === 'number') level.at++;
        keyNext = level?.keys != null;
        break;
      case '"': {
        const end = endOfString(text, i);
        if (keyNext && level?.keys) {
          const key = JSON.parse(text.slice(i, end + 1)) as string;
          level.at = key;
          if (level.keys.has(key)) return open.map(({ at }) => at);
          level.keys.add(key);
          keyNext = false;
        }
        i = end;
      }
    }
  }
  return null;
}

/** Where a string that begins at `start` has its closing quote. */
function endOfString(text: string, start: number): number {
  for (let i = start + 1; ; i++) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) return i;
    if (code === BACKSLASH) i++;
  }
}
