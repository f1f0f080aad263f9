import { conditionProblem } from './condition.js';

describe('a condition that a user wrote', () => {
  it('is taken where it stays inside parentheses of ours', () => {
    for (const text of [
      'id > 5',
      "name = 'O''Brien' AND (a OR (b AND c))",
      `"odd ) name" = 'also ( here;--'`,
      `"a""b)" IS NULL`,
      "v LIKE E'a\\'b)%' AND tags[1] = 'x'",
      "v ~ '^[(]+$' AND d >= DATE '2025-01-01'",
      'id IN (SELECT o.id FROM public.other o)',
      "typE'text)' IS NULL",
      "v = ''",
    ])
      expect([text, conditionProblem(text)]).toEqual([text, null]);
  });

  it('is refused where it could leave them, however that is hidden', () => {
    for (const text of [
      'true) UNION ALL SELECT secret FROM public.users WHERE (true',
      'true) OR (true',
      '(true',
      'a[1',
      '(a]',
      'true) TO STDOUT; DROP TABLE public.orders; --',
      'true; COMMIT',
      "v = 'x",
      '"v = 1',
      'true -- )',
      'true /* ( */ )',
      'v = $$)$$',
      'v = $1',
      // Where the server takes backslashes for escapes, the string ends elsewhere.
      String.raw`v = '\') OR (true OR v = '`,
      // Escapes hold for E'…' alone: `nameE` is a name, and the string behind it a plain one.
      String.raw`nameE'\') OR ('`,
      String.raw`v = E'a\\') OR (v = 'b'`,
      "v = E'a\\'",
      'v = \\',
      'v\0',
    ])
      expect([text, conditionProblem(text)]).toEqual([text, expect.stringMatching(/^(has|lacks) /)]);
  });
});
