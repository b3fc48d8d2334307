/**
 * Why TLS with a server fails: gRPC only says that it did not connect in time. One handshake of our
 * own, by the same configuration, tells it.
 */
import { connect, type ConnectionOptions } from 'node:tls';
import { isIP } from 'node:net';
import type { TLSConfig } from '@temporalio/client';

/** A server of HTTP/2 speaks first; one that is silent for so long has no trouble with TLS. */
const ANSWER_MS = 2000;

interface Trouble {
  now: string;
  next: string;
}

/**
 * @param isDefault no one has named the address
 * @returns null when it is not TLS that fails, or no server is there
 */
export async function tlsTrouble(
  address: string,
  tls: TLSConfig | boolean | null | undefined,
  isDefault: boolean,
): Promise<Trouble | null> {
  const { serverNameOverride, serverRootCACertificate, clientCertPair } = Object(tls) as TLSConfig;
  const [host, port] = [address.replace(/:\d+$/, ''), Number(address.split(':').at(-1))];
  const name = serverNameOverride ?? host;
  const options: ConnectionOptions = {
    host: host.replace(/^\[|\]$/g, ''),
    port,
    ALPNProtocols: ['h2'],
    ...(isIP(name) ? {} : { servername: name }),
    ...(serverRootCACertificate ? { ca: Buffer.from(serverRootCACertificate) } : {}),
    ...(clientCertPair ? asBuffers(clientCertPair) : {}),
    rejectUnauthorized: Boolean(tls),
  };
  const { isSpoken, error } = await handshake(options);
  if (tls && error) {
    const next = 'Fix the certificates of TEMPORAL_TLS_..., or of the profile in temporal.toml';
    return { now: `TLS with the server fails: ${error}; nothing was sent`, next };
  }
  if (tls || !isSpoken) return null;
  if (isDefault) {
    const now = 'the server speaks TLS: it is perhaps the `blockflow up` of another user';
    return { now, next: 'Run this command as that user (sudo), or set TEMPORAL_ADDRESS' };
  }
  const next = 'Set TEMPORAL_TLS=true, or TEMPORAL_TLS_... with certificates, or choose a profile';
  return { now: 'the server speaks TLS, and the configuration has none', next };
}

const asBuffers = ({ crt, key }: NonNullable<TLSConfig['clientCertPair']>) => ({
  cert: Buffer.from(crt),
  key: Buffer.from(key),
});

/** An error of the network is none of TLS. */
function handshake(options: ConnectionOptions): Promise<{ isSpoken: boolean; error?: string }> {
  return new Promise((resolve) => {
    let isSpoken = false;
    const socket = connect(options);
    const end = (error?: string) => {
      clearTimeout(timer);
      socket.destroy();
      resolve({ isSpoken, ...(error === undefined ? {} : { error }) });
    };
    const timer = setTimeout(end, ANSWER_MS);
    socket.on('secureConnect', () => (isSpoken = true));
    socket.on('data', () => end());
    socket.on('close', () => end());
    socket.on('error', ({ code = '', message, ...more }: NodeJS.ErrnoException) => {
      if (/^E[A-Z]+$/.test(code) || code === 'ERR_SSL_WRONG_VERSION_NUMBER') return end();
      const { reason = message } = more as { reason?: string };
      end(reason);
    });
  });
}
