/**
 * A front that speaks TLS before a server that does not, and lets in only who has a certificate of
 * its own authority: what stands before many a Temporal server.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { connect, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import { once } from 'node:events';
import { execa } from 'execa';
import { joinSockets } from '../../../worker/up/front/grpc-front.ts';

export interface Identity {
  certificate: string;
  key: string;
}

/** Makes certificates in this folder. */
export interface Authority extends Identity {
  issue(name: string): Promise<Identity>;
}

const NO_DEFAULTS = '[req]\ndistinguished_name = dn\n[dn]\n';

export async function createAuthority(folder: string, name: string): Promise<Authority> {
  const config = join(folder, 'openssl.cnf');
  await writeFile(config, NO_DEFAULTS);
  const make = async (whose: string, more: readonly string[]): Promise<Identity> => {
    const [certificate, key] = [join(folder, `${whose}.pem`), join(folder, `${whose}.key`)];
    const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
    const files = ['-keyout', key, '-out', certificate, '-subj', `/CN=${whose}`];
    await execa('openssl', ['req', '-x509', '-config', config, ...kind, ...files, ...more]);
    return { certificate, key };
  };
  const root = await make(name, ['-addext', 'basicConstraints=critical,CA:TRUE']);
  return {
    ...root,
    issue(whose) {
      const signed = ['-CA', root.certificate, '-CAkey', root.key];
      const names = ['-addext', 'subjectAltName=DNS:localhost'];
      return make(whose, [...signed, ...names, '-addext', 'basicConstraints=CA:FALSE']);
    },
  };
}

export interface TlsFront {
  address: string;
  close(): Promise<void>;
}

/** @param behind `host:port` of the server */
export async function startTlsFront(
  behind: string,
  authority: Authority,
  { certificate, key }: Identity,
): Promise<TlsFront> {
  const [host, port] = behind.split(':') as [string, string];
  const [ca, cert, own] = await Promise.all(
    [authority.certificate, certificate, key].map((file) => readFile(file)),
  );
  const options = { ca, cert, key: own, requestCert: true, ALPNProtocols: ['h2'] };
  const sockets = new Set<{ destroy(): void }>();
  const server = createServer(options, (inner) => {
    const outer = connect(Number(port), host);
    for (const socket of [inner, outer]) sockets.add(socket);
    joinSockets(inner, outer);
  });
  // Who is not let in hears it from TLS.
  server.on('tlsClientError', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    address: `localhost:${(server.address() as AddressInfo).port}`,
    async close() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}
