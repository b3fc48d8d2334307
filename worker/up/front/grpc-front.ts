/** The gRPC port of `blockflow up`: TLS, and only for who has the client's key. */
import { connect, type Socket } from 'node:net';
import { createServer, type Server, type TlsOptions } from 'node:tls';

/** @param port of the server behind, in this network */
export function createGrpcFront(tls: TlsOptions, port: number): Server {
  const options = { ...tls, requestCert: true, rejectUnauthorized: true, ALPNProtocols: ['h2'] };
  const front = createServer({ ...options, minVersion: 'TLSv1.3' }, (outer) => {
    joinSockets(outer, connect(port, '127.0.0.1'));
  });
  // Who is not let in hears it from TLS.
  return front.on('tlsClientError', () => undefined);
}

/** What one says the other hears, and both end together. */
export function joinSockets(outer: Socket, inner: Socket): void {
  const end = () => {
    outer.destroy();
    inner.destroy();
  };
  for (const socket of [outer, inner]) {
    socket.setNoDelay(true);
    socket.on('error', end).on('close', end);
  }
  outer.pipe(inner).pipe(outer);
}
