import { once } from 'node:events';
import { createServer } from 'node:net';
import { expect, it } from '@jest/globals';
import { freePort } from '../../worker/free-port.ts';

it('gives no port twice, and each of them can be listened on', async () => {
  const ports = new Set<number>();
  const drawn = 600;
  for (let i = 0; i < drawn; i++) ports.add(await freePort());
  expect(ports.size).toBe(drawn);
  for (const port of ports) {
    const server = createServer().listen(port, '127.0.0.1');
    await once(server, 'listening');
    server.close();
  }
});
