import { HostLanes } from './host-lanes.js';

const to = (host: string, port = 5432) => ({ id: 'conn_x', type: 'postgres', config: { host, port } });
const never = () => new AbortController().signal;

describe('questions about hosts', () => {
  it('one that is silent holds up those about itself and no others, at whatever port', async () => {
    const lanes = new HostLanes();
    const ends: (() => void)[] = [];
    const silent = () => new Promise<void>((resolve) => ends.push(resolve));
    const asked = Array.from({ length: 102 }, (_, i) => lanes.run(to(i % 2 ? 'Dead' : 'dead', i), never(), silent));
    expect(await lanes.run(to('alive'), never(), () => Promise.resolve('there'))).toBe('there');
    expect(ends).toHaveLength(2);
    await expect(lanes.run(to('dead'), never(), silent)).rejects.toThrow('Too many');
    for (let done = 0; done < 102; done++) {
      expect(ends.length).toBeLessThanOrEqual(done + 2);
      ends[done]!();
      await asked[done];
    }
    expect(await lanes.run(to('dead'), never(), () => Promise.resolve('again'))).toBe('again');
  });

  it('one whose time is over leaves its place to those behind it', async () => {
    const lanes = new HostLanes();
    let end = () => {};
    const stuck = new Promise<void>((resolve) => (end = resolve));
    const underWay = [1, 2].map(() => lanes.run(to('dead'), never(), () => stuck));
    const late = new AbortController();
    const given = lanes.run(to('dead'), late.signal, () => Promise.resolve('late'));
    const behind = lanes.run(to('dead'), never(), () => Promise.resolve('behind'));
    late.abort();
    await expect(given).rejects.toThrow('busy');
    await expect(lanes.run(to('dead'), late.signal, () => stuck)).rejects.toThrow('busy');
    end();
    expect(await behind).toBe('behind');
    await Promise.all(underWay);
  });

  it('a failure gives its place back', async () => {
    const lanes = new HostLanes();
    for (let i = 0; i < 5; i++)
      await expect(lanes.run(to('db'), never(), () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  });

  it('what does not end in its time has its place no longer', async () => {
    const lanes = new HostLanes();
    const late = new AbortController();
    const stuck = [1, 2].map(() => lanes.run(to('dead'), late.signal, () => new Promise<void>(() => undefined)));
    const behind = lanes.run(to('dead'), never(), () => Promise.resolve('behind'));
    late.abort();
    expect(await behind).toBe('behind');
    expect(stuck).toHaveLength(2);
  });

  it('brokers are one host, in whatever order', async () => {
    const lanes = new HostLanes();
    const kafka = (...brokers: string[]) => ({ id: 'conn_k', type: 'kafka', config: { brokers } });
    let underWay = 0;
    const silent = () => new Promise<void>(() => underWay++);
    void lanes.run(kafka('a:1', 'b:1'), never(), silent);
    void lanes.run(kafka('b:2', 'a:2'), never(), silent);
    void lanes.run(kafka('A:1', 'b:3'), never(), silent);
    await Promise.resolve();
    expect(underWay).toBe(2);
  });
});
