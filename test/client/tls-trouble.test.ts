/** What a client says of a server that speaks TLS. */
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from '@jest/globals';
import { tlsTrouble } from '../../client/library/tls-trouble.ts';
import { tlsFiles } from '../../worker/environment/up-files.ts';
import { ensureCertificates } from '../../worker/up/certificates.ts';
import { createGrpcFront } from '../../worker/up/front/grpc-front.ts';

it("names another user's `up` only where no one has named a server", async () => {
  const folder = await mkdtemp(join(tmpdir(), 'blockflow-tls-'));
  await ensureCertificates(folder);
  const files = tlsFiles(folder);
  const [ca, cert, key] = await Promise.all(
    [files.authority, files.server, files.serverKey].map((file) => readFile(file)),
  );
  const front = createGrpcFront({ ca, cert, key }, 1).listen(0, '127.0.0.1');
  await once(front, 'listening');
  const address = `127.0.0.1:${(front.address() as AddressInfo).port}`;
  try {
    const byDefault = await tlsTrouble(address, undefined, true);
    expect(byDefault?.now).toContain('`blockflow up` of another user');
    expect(byDefault?.next).toContain('sudo');
    const named = await tlsTrouble(address, undefined, false);
    expect(named?.next).toContain('TEMPORAL_TLS');
  } finally {
    front.close();
    await rm(folder, { recursive: true });
  }
});
