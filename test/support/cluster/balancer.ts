/**
 * One address before several servers, as a load balancer is: each connection goes to the next
 * server that accepts it. Clients know no other address.
 */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { joinSockets } from '../../../worker/up/front/grpc-front.ts';

export interface Balancer {
  address: string;
  close(): Promise<void>;
}

/** @param ports of 127.0.0.1 */
export async function startBalancer(ports: readonly number[]): Promise<Balancer> {
  let turn = 0;
  const sockets = new Set<Socket>();
  const server = createServer({ pauseOnConnect: true }, (outer) => {
    sockets.add(outer.on('close', () => sockets.delete(outer)));
    const first = turn++;
    const inTurn = ports.map((_, i) => ports[(first + i) % ports.length] as number);
    void firstToAccept(inTurn).then((inner) => {
      if (inner === undefined) return outer.destroy();
      joinSockets(outer, inner);
      return outer.resume();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}

async function firstToAccept(ports: readonly number[]): Promise<Socket | undefined> {
  for (const port of ports) {
    const socket = connect(port, '127.0.0.1');
    const isOpen = await once(socket, 'connect').then(
      () => true,
      () => false,
    );
    if (isOpen) return socket;
  }
  return undefined;
}
