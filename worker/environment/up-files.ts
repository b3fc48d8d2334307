/** The files beside `up.json` by which clients of this machine reach the server of `up`. */
import { join, resolve } from 'node:path';

/** All in one folder that its owner alone may enter. */
export interface TlsFiles {
  folder: string;
  authority: string;
  server: string;
  serverKey: string;
  client: string;
  clientKey: string;
}

export function tlsFiles(stateDir: string): TlsFiles {
  const folder = resolve(stateDir, 'tls');
  const file = (name: string) => join(folder, name);
  return {
    folder,
    authority: file('authority.pem'),
    server: file('server.pem'),
    serverKey: file('server.key'),
    client: file('client.pem'),
    clientKey: file('client.key'),
  };
}

/** The name that clients expect in the server's certificate, whatever its address. */
export const SERVER_NAME = 'blockflow';

/** In Temporal's own format, so that any client and script can use it (TEMPORAL_CONFIG_FILE). */
export const profilePath = (stateDir: string) => join(stateDir, 'temporal.toml');
