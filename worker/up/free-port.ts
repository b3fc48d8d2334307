import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/** A machine without IPv6 answers so; then no other user can listen there either. */
export const NO_IPV6: readonly string[] = ['EADDRNOTAVAIL', 'EAFNOSUPPORT'];

/** At both addresses of this machine: browsers take `localhost` for ::1 first. */
export async function isFree(port: number): Promise<boolean> {
  return (await isFreeAt(port, '127.0.0.1', [])) && (await isFreeAt(port, '::1', NO_IPV6));
}

function isFreeAt(port: number, address: string, ignored: readonly string[]): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', ({ code = '' }: NodeJS.ErrnoException) => resolve(ignored.includes(code)));
    probe.listen(port, address, () => probe.close(() => resolve(true)));
  });
}

/**
 * A port of this machine that was free a moment ago. It is below those that Linux gives to programs
 * that ask for any (32768 to 60999), so that it stays free while the server that has it is dead: an
 * outgoing connection had taken the port of a killed server.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(10_000, 32_768);
    if (await isFree(port)) return port;
  }
}
