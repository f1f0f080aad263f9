import { Ajv2020 } from 'ajv/dist/2020.js';
import { ajvFindings } from './issues.js';

const schema = {
  type: 'object',
  properties: {
    auth: {
      oneOf: [
        {
          type: 'object',
          required: ['type', 'secrets'],
          properties: { type: { const: 'hmac' }, secrets: { minItems: 1 } },
        },
        { type: 'object', required: ['type'], properties: { type: { const: 'none' } }, additionalProperties: false },
      ],
    },
  },
};
const validate = new Ajv2020({ strict: false, allErrors: true, verbose: true }).compile(schema);
const found = (auth: unknown) => {
  validate({ auth });
  return ajvFindings(validate.errors ?? [], schema, 'config').map(({ field, issue }) => `${field} ${issue}`);
};

describe('alternatives that a key tells apart', () => {
  it('the one that was meant complains, the others do not', () => {
    expect(found({ type: 'hmac' })).toEqual(['config.auth.secrets is required']);
    expect(found({ type: 'hmac', secrets: [] })).toEqual(['config.auth.secrets must NOT have fewer than 1 items']);
    expect(found({ type: 'none', secrets: [1] })).toEqual(['config.auth.secrets is not a known key']);
  });

  it('where none was meant, the values of the key are named', () => {
    expect(found({ type: 'hmacs' })).toEqual(['config.auth.type must be one of hmac, none']);
    expect(found({})).toEqual(['config.auth.type must be one of hmac, none']);
  });

  it('where its keys tell which one was meant, what they hold is wrong', () => {
    const of = (name: string, value: object) => ({
      type: 'object',
      required: [name],
      properties: { [name]: value },
      additionalProperties: false,
    });
    const start = {
      anyOf: [
        { type: 'string', enum: ['earliest', 'latest'] },
        of('timestamp', { type: 'string', pattern: '^2' }),
        of('offsets', { type: 'object' }),
      ],
    };
    const whole = { type: 'object', properties: { start } };
    const wrong = new Ajv2020({ strict: false, allErrors: true, verbose: true }).compile(whole);
    const about = (value: unknown) => {
      wrong({ start: value });
      return ajvFindings(wrong.errors ?? [], whole, 'config').map(({ field, issue }) => `${field} ${issue}`);
    };
    expect(about({ timestamp: 'yesterday' })).toEqual(['config.start.timestamp is not in the documented form']);
    expect(about({ offsets: 7 })).toEqual(['config.start.offsets must be object']);
    expect(about('soon')[0]).toBe('config.start must be one of earliest, latest');
  });
});
