/** An address for metrics that cannot be had: nothing is started, and the reason is told. */
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { commandLine, type Typed } from '../../support/host/roles/command-line.ts';
import { says } from '../../support/host/roles/says.ts';

let folder: string;
let typed: Typed;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'blockflow-metrics-'));
  const [BLOCKFLOW_STATE_DIR, BLOCKFLOW_RUNTIME_DIR] = [join(folder, 'state'), join(folder, 'run')];
  const here = { BLOCKFLOW_STATE_DIR, BLOCKFLOW_RUNTIME_DIR, BLOCKFLOW_CONNECT: 'test:///default' };
  // No server is there: a command that went on would wait for it.
  typed = commandLine({ ...here, TEMPORAL_ADDRESS: '127.0.0.1:1' });
});
afterEach(() => rm(folder, { recursive: true }));

const commands = ['up', 'worker orchestrator', 'worker host', 'worker spm'];

test.each(commands)('`blockflow %s` refuses an address that is taken', async (command) => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  const address = `127.0.0.1:${port}`;
  try {
    await says(
      typed(...command.split(' '), '--metrics', address),
      3,
      ...[/^Refused, nothing was done \(metrics-address\)/, `serving metrics on ${address}`],
      ...['Address already in use', 'nothing was started', `ss -ltnp sport = :${port}`],
    );
  } finally {
    other.close();
  }
  // What tells clients of this machine where to go.
  expect(await readdir(join(folder, 'state')).catch(() => [])).not.toContain('up.json');
});

const wrong = ['localhost:9464', '9464', '127.0.0.1', '127.0.0.1:65536', '::1:9464', '[::1]', ''];
test.each(wrong)('%s is no address for metrics', async (address) => {
  const answer = typed('worker', 'host', '--metrics', address);
  await says(answer, 2, 'metricsAddress is not an IP address and a port');
});
