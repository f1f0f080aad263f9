import { entryText, pageText, sseText } from './event-text.js';

const entry = {
  cursor: '1-0',
  id: 'a"b',
  type: 't',
  source: '/streams/x',
  subject: 's',
  time: '2025-01-01T00:00:00Z',
  partitionkey: '{"id":1}',
  data: '{"after":{"n":123456789012345678901234567890.10,"b":1,"a":2}}',
};

describe('an event in an answer', () => {
  it('keeps the text of its data: every digit, every key in its order', () => {
    expect(entryText(entry)).toContain('"data":{"after":{"n":123456789012345678901234567890.10,"b":1,"a":2}}');
    expect(JSON.parse(entryText(entry))).toMatchObject({
      id: 'a"b',
      type: 'event',
      attributes: { cursor: '1-0', partitionkey: '{"id":1}' },
    });
  });

  it('a page tells where it ended, and an empty one where it began', () => {
    expect(JSON.parse(pageText([entry, { ...entry, cursor: '2-0' }], 5, null)).meta.page).toEqual({
      limit: 5,
      cursor: '2-0',
    });
    expect(JSON.parse(pageText([], 5, '7-0'))).toEqual({ data: [], meta: { page: { limit: 5, cursor: '7-0' } } });
  });

  it('is one server-sent event, whatever line ends its data has', () => {
    const text = sseText({ ...entry, data: '{\n"a":1\r\n,\r"b":2\r}' });
    expect(text.split(/[\r\n]/).filter(Boolean)).toHaveLength(3);
    expect(text.endsWith('\n\n')).toBe(true);
  });
});
