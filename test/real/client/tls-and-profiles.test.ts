/**
 * The standard configuration is enough for a Temporal server behind mutual TLS: a profile of a
 * file, or variables; for a worker and for a client.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { startTemporalServer, type TemporalServer } from '../../../worker/up/temporal-server.ts';
import { commandLine, startWorker } from '../../support/host/roles/command-line.ts';
import { says } from '../../support/host/roles/says.ts';
import {
  createAuthority,
  startTlsFront,
  type Authority,
  type Identity,
  type TlsFront,
} from '../../support/faults/tls-front.ts';

let folder: string;
let temporal: TemporalServer;
let front: TlsFront;
let authority: Authority;
let ours: Identity;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blockflow-tls-'));
  await Promise.all(['server', 'state', 'other'].map((name) => mkdir(join(folder, name))));
  temporal = await startTemporalServer({ stateDir: join(folder, 'server') });
  authority = await createAuthority(folder, 'authority');
  front = await startTlsFront(temporal.address, authority, await authority.issue('temporal'));
  ours = await authority.issue('blockflow');
});
afterAll(async () => {
  await front?.close();
  await temporal?.stop();
  await rm(folder, { recursive: true, force: true });
});

const environment = () => ({
  BLOCKFLOW_STATE_DIR: join(folder, 'state'),
  BLOCKFLOW_RUNTIME_DIR: join(folder, 'run'),
});
/** As the documentation of `temporal.toml` has it. */
async function profile(ca: string): Promise<Record<string, string>> {
  const file = join(folder, 'temporal.toml');
  const lines = [
    ...['[profile.default]', 'address = "127.0.0.1:1"', '[profile.behind-tls]'],
    ...[`address = "${front.address}"`, '[profile.behind-tls.tls]'],
    ...[`client_cert_path = "${ours.certificate}"`, `client_key_path = "${ours.key}"`],
    `server_ca_cert_path = "${ca}"`,
  ];
  await writeFile(file, `${lines.join('\n')}\n`);
  return { ...environment(), TEMPORAL_CONFIG_FILE: file, TEMPORAL_PROFILE: 'behind-tls' };
}
const variables = (more: Record<string, string> = {}) => ({
  ...environment(),
  TEMPORAL_ADDRESS: front.address,
  TEMPORAL_TLS_SERVER_CA_CERT_PATH: authority.certificate,
  TEMPORAL_TLS_CLIENT_CERT_PATH: ours.certificate,
  TEMPORAL_TLS_CLIENT_KEY_PATH: ours.key,
  ...more,
});

/** The orchestrator alone answers this, through the same front. */
async function expectServed(env: Record<string, string>): Promise<void> {
  const worker = startWorker(env, 'orchestrator');
  try {
    await new Promise<void>((ready, fail) => {
      let log = '';
      worker.stderr.on('data', (text: Buffer) => {
        log += String(text);
        if (log.includes('orchestrator is ready')) ready();
      });
      void worker.then(() => fail(new Error(log)));
    });
    await says(commandLine(env)('events', '--json'), 0, /\[\]/);
  } finally {
    worker.kill('SIGTERM');
    expect((await worker).exitCode).toBe(0);
  }
}

describe('A Temporal server behind mutual TLS', () => {
  it('serves a worker and a client with a profile of temporal.toml', async () => {
    await expectServed(await profile(authority.certificate));
  });

  it('serves them with the variables of the environment', async () => {
    await expectServed(variables());
  });

  it('is not believed with another authority, which the message says', async () => {
    const other = await createAuthority(join(folder, 'other'), 'other');
    const typed = commandLine(await profile(other.certificate));
    await says(typed('status'), 4, front.address, /TLS with the server fails: .*certificate/);
  });

  it('lets no client in without a certificate, which the message says', async () => {
    const typed = commandLine({
      ...environment(),
      TEMPORAL_ADDRESS: front.address,
      TEMPORAL_TLS_SERVER_CA_CERT_PATH: authority.certificate,
    });
    await says(typed('status'), 4, front.address, /certificate required/);
  });

  it('is not there for who does not speak TLS', async () => {
    const typed = commandLine({ ...environment(), TEMPORAL_ADDRESS: front.address });
    await says(typed('status'), 4, front.address, /TEMPORAL_TLS/);
  });
});
