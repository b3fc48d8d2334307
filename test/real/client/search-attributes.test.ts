/** A Temporal server that is not ours does not know our search attributes: who sees to them? */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { connectBlockflow } from '../../../client/index.ts';
import * as client from '../../../client/library/search-attributes.ts';
import { openSession } from '../../../client/library/session.ts';
import { registerSearchAttributes } from '../../../worker/environment/search-attributes.ts';
import { searchAttributes } from '../../../workflows/operation/contract.ts';
import { startBareTemporal, type BareTemporal } from '../../support/host/roles/bare-temporal.ts';
import { commandLine, startWorker } from '../../support/host/roles/command-line.ts';
import { HOST } from '../../support/host/system.ts';
import { waitUntil } from '../../support/wait-until.ts';

const ours = Object.values(searchAttributes)
  .map(({ name }) => name)
  .sort();
/** A development server stores ten keywords; these leave room for four of our six. */
const foreign = ['A', 'B', 'C', 'D', 'E', 'F'].map((letter) => `Other${letter}`);

let temporal: BareTemporal;
let stateDir: string;
let env: Record<string, string>;
const workers: ReturnType<typeof startWorker>[] = [];
beforeEach(async () => {
  temporal = await startBareTemporal();
  stateDir = await mkdtemp(join(tmpdir(), 'blockflow-bare-'));
  env = {
    TEMPORAL_ADDRESS: temporal.address,
    BLOCKFLOW_STATE_DIR: stateDir,
    BLOCKFLOW_RUNTIME_DIR: join(stateDir, 'run'),
    BLOCKFLOW_CONNECT: 'test:///default',
    BLOCKFLOW_HOST: HOST,
  };
});
afterEach(async () => {
  for (const worker of workers.splice(0)) {
    worker.kill('SIGKILL');
    await worker;
  }
  await temporal.stop();
  await rm(stateDir, { recursive: true, force: true });
});

/** Starts a role, and collects what it says. */
function run(role: 'orchestrator' | 'host'): { log: () => string } {
  const worker = startWorker(env, role);
  workers.push(worker);
  let log = '';
  worker.stderr.on('data', (text) => (log += String(text)));
  return { log: () => log };
}
const untilSaid = ({ log }: { log: () => string }, words: string) =>
  waitUntil(
    () => `"${words}" in\n${log()}`,
    () => log().includes(words),
  );

describe('Search attributes on a bare Temporal server', () => {
  it('are registered by the first workers that connect, and then left alone', async () => {
    expect(await temporal.searchAttributes()).toEqual([]);
    const [orchestrator, host] = [run('orchestrator'), run('host')];
    await untilSaid(orchestrator, 'orchestrator is ready');
    await untilSaid(host, 'host is ready');
    expect(await temporal.searchAttributes()).toEqual(ours);
    const logs = orchestrator.log() + host.log();
    expect(logs).toContain('search attributes are registered');
    expect(logs).not.toContain('administrator');
    const again = run('host');
    await untilSaid(again, 'host is ready');
    expect(again.log()).not.toContain('search attributes');
  });

  it('are registered by clients that start operations before any worker, all at once', async () => {
    const options = { address: temporal.address, host: HOST, stateDir };
    const clients = await Promise.all(Array.from({ length: 6 }, () => connectBlockflow(options)));
    try {
      const started = await Promise.all(
        clients.map((blockflow, i) => blockflow.merge({ vm: `web${i}`, disk: 'vda' })),
      );
      expect(started.map(({ id }) => id)).toEqual(clients.map((_, i) => `web${i}/vda`));
      expect(await temporal.searchAttributes()).toEqual(ours);
    } finally {
      await Promise.all(clients.map((blockflow) => blockflow.close()));
    }
  });

  it('are no trouble when another worker registers them in the same moment', async () => {
    const { connection } = temporal;
    const lateTo = (add: () => Promise<object>) => ({
      namespace: 'default',
      connection: {
        withDeadline: connection.withDeadline.bind(connection),
        operatorService: Object.create(connection.operatorService, {
          addSearchAttributes: { value: add },
        }) as typeof connection.operatorService,
      },
    });
    const refused = () => Promise.reject(new Error('they exist already'));
    await expect(registerSearchAttributes(lateTo(refused))).rejects.toThrow('they exist already');
    const second = () => temporal.register(ours).then(refused);
    await registerSearchAttributes(lateTo(second), ours);
    const session = await openSession({ address: temporal.address, host: HOST, stateDir });
    await client.registerSearchAttributes(session);
    await session.connection.close();
  });

  it('are told with the command that registers them, where the server refuses', async () => {
    await temporal.register(foreign);
    const host = run('host');
    await untilSaid(host, 'host is ready');
    const command =
      'temporal operator search-attribute create --namespace default ' +
      Object.values(searchAttributes)
        .map(({ name }) => `--name ${name} --type Keyword`)
        .join(' ');
    const warning = host
      .log()
      .split('\n')
      .find((line) => line.includes('search attributes'));
    expect(JSON.parse(warning ?? '{}')).toMatchObject({
      level: 40,
      error: expect.stringContaining('Keyword') as unknown,
      msg: expect.stringContaining(`namespace default lacks search attributes`) as unknown,
    });
    expect(warning).toContain(command);
    const blockflow = commandLine(env);
    const merge = await blockflow('merge', 'web1', 'vda', '--detach');
    expect(merge).toMatchObject({ exitCode: 3, printed: '' });
    expect(merge.told).toContain(`Have an administrator run: ${command}`);
    const doctor = await blockflow('doctor', '--json');
    expect(doctor.exitCode).toBe(4);
    expect(doctor.printed).toContain(command);
    expect(doctor.printed).toContain('a dev server');
    expect(await temporal.searchAttributes()).toEqual(foreign);
  });
});
