import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { expect, it } from '@jest/globals';
import { freePort, isFree } from '../../worker/up/free-port.ts';

it('gives ports that can be listened on, outside the range for any port', async () => {
  const [lowest] = (await readFile('/proc/sys/net/ipv4/ip_local_port_range', 'utf8')).split('\t');
  for (let i = 0; i < 100; i++) {
    const port = await freePort();
    expect(port).toBeLessThan(Number(lowest));
    const server = createServer().listen(port, '127.0.0.1');
    await once(server, 'listening');
    expect(await isFree(port)).toBe(false);
    server.close();
  }
});

it('gives none that a stranger has at ::1 alone', async () => {
  const port = await freePort();
  const stranger = createServer().listen(port, '::1');
  await once(stranger, 'listening');
  expect(await isFree(port)).toBe(false);
  stranger.close();
  await once(stranger, 'close');
  expect(await isFree(port)).toBe(true);
});
