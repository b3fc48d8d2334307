import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

export function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer().once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}

/**
 * A port of 127.0.0.1 that was free a moment ago. It is below those that Linux gives to programs
 * that ask for any (32768 to 60999), so that it stays free while the server that has it is dead: an
 * outgoing connection had taken the port of a killed server.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(10_000, 32_768);
    if (await isFree(port)) return port;
  }
}
