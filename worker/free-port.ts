import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/**
 * A port of 127.0.0.1 that was free a moment ago, and that nobody is given for a minute: the end of
 * a connection waits there (TIME_WAIT). The kernel gives such a port to no one who asks for any
 * port; who names it can listen on it with SO_REUSEADDR, as Node and Go do. Temporal's CLI chooses
 * its own in the same way (internal/devserver/freeport.go).
 */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = connect(port, '127.0.0.1').resume();
  const [accepted] = (await once(server, 'connection')) as [Socket];
  // It is the side that ends first which waits, so this one.
  accepted.end();
  await once(client, 'close');
  server.close();
  await once(server, 'close');
  return port;
}
