/** What people and their tools touch: the command line, scripts, metrics, logs, many at once. */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { OWN_FOLDER } from '../../../activities/pool-folder/own-folder.ts';
import { freePort } from '../../../worker/up/free-port.ts';
import type { Phase } from '../../../workflows/kinds.ts';
import { connectTo } from '../../support/host/roles/blockflow-client.ts';
import {
  commandLine,
  environmentOf,
  scripts,
  startWorker,
  type Typed,
} from '../../support/host/roles/command-line.ts';
import { says } from '../../support/host/roles/says.ts';
import { expectLeftClean, SMALL } from '../../support/scenes/merge-checks.ts';
import { POOL, startScene, startSharedSystem } from '../../support/scenes/merge-scene.ts';
import { HOST } from '../../support/host/system.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { use, useEach } from '../../support/use.ts';

let blockflow: Typed;
let example: Typed;

const connect = () => connectTo(system);
const system = useSystem(() => startSharedSystem({ name: 'surface' }));
const forTest = useEach();
const library = use('the client', connect);
beforeAll(() => {
  const env = environmentOf(system);
  [blockflow, example] = [commandLine(env), scripts(env)];
});

const open = (vm: string, guest = SMALL) => forTest(startScene({ system, vm, guest }));

/** Waits until the operation is in this phase, as the library sees it. */
async function until(vm: string, phase: Phase): Promise<void> {
  const operation = await library.operation(vm, 'vda');
  for await (const { status } of operation.progress({ everyMs: 50 })) {
    if (status?.phase === phase) return;
  }
  expect(await operation.result()).toBe(`an operation that was ${phase}`);
}
/** The list is about a second behind. */
const untilListed = (vm: string, outcome: string) =>
  waitUntil(`${vm} to be listed as ${outcome}`, async () => {
    const [newest] = await library.list({ vm });
    return newest?.outcome === outcome;
  });

describe('The command line', () => {
  it('starts a merge, shows it, limits it, and decides to pivot', async () => {
    const scene = await open('web1');
    const request = ['web1', 'vda', '--wait-for-decision', '--detach'];
    await says(blockflow('merge', ...request), 0, 'web1/vda has started');
    await says(blockflow('merge', ...request), 0, 'web1/vda runs already');
    await until('web1', 'waiting for a decision');
    await says(
      blockflow('status', 'web1'),
      0,
      'web1/vda  LiveMerge  waiting for a decision',
      'say `blockflow decide web1/vda pivot|keep`',
      /before +web1.qcow2 ← web1-snap1.qcow2\n +after +web1.qcow2\n/,
      /cancel +possible: /,
    );
    const limit = 'web1/vda: 200.0 MiB/s, from the next copy on';
    await says(blockflow('bandwidth', 'web1', 'vda', '200M'), 0, limit);
    await says(blockflow('status', 'web1', 'vda'), 0, /limit +200.0 MiB\/s\n/);
    await says(blockflow('decide', 'web1', 'vda', 'maybe'), 2, 'Say pivot or keep');
    const decided = blockflow('decide', 'web1', 'vda', 'pivot', '--json');
    expect(JSON.parse(await says(decided, 0))).toEqual({
      outcome: 'accepted',
      id: 'web1/vda',
      answer: 'the VM will be pivoted to base',
      exitCode: 0,
    });
    const result = await (await library.operation('web1', 'vda')).result();
    expect(result).toMatchObject({ outcome: 'merged', deleted: scene.chain.slice(1) });
    await says(blockflow('decide', 'web1/vda', 'pivot'), 3, 'no operation runs there');
    await expectLeftClean(scene, ['web1.qcow2']);
    await says(
      blockflow('events', 'web1'),
      0,
      /started .* web1\/vda on h1, \S+@\S+\n +merge web1 vda\n/,
      /merged .* web1\/vda on h1/,
      'web1-snap1.qcow2  →  web1.qcow2',
    );
    await untilListed('web1', 'merged');
    await says(blockflow('list', 'web1'), 0, /^DISK.*\nweb1\/vda +LiveMerge +h1 +merged +\d/);
    expect(await scene.verifyAfterCrash()).toBeGreaterThan(SMALL.slots ?? 0);
  });

  it('limits a copy that runs, refuses an early decision, and decides to keep', async () => {
    const scene = await open('web2', {});
    const request = ['web2/vda', '--wait-for-decision', '--bandwidth', '64K'];
    await says(blockflow('merge', ...request, '--detach'), 0, 'web2/vda has started');
    await until('web2', 'copying');
    const early = 'web2/vda is not waiting for a decision: it is copying';
    await says(blockflow('decide', 'web2/vda', 'keep'), 3, early);
    await says(blockflow('bandwidth', 'web2/vda', '300M'), 0, 'web2/vda: 300.0 MiB/s');
    const job = await system.host.virsh('blockjob', 'web2', 'vda', '--info', '--raw');
    expect(job).toContain('bandwidth=300\n');
    const followed = blockflow('merge', ...request, '--json');
    await until('web2', 'waiting for a decision');
    // By the time that two later commands have ended, it follows. It would begin a second merge
    // where the first has ended before.
    await says(blockflow('status', 'web2/vda'), 0, 'waiting for a decision');
    await says(blockflow('status', 'web2/vda'), 0, 'waiting for a decision');
    await says(blockflow('decide', 'web2/vda', 'keep'), 0, 'the overlay will be kept');
    const result = JSON.parse(await says(followed, 0)) as unknown;
    expect(result).toMatchObject({ outcome: 'kept', chainAfter: scene.chain, exitCode: 0 });
    await expectLeftClean(scene, ['web2.qcow2', 'web2-snap1.qcow2']);
    await scene.verifyAfterCrash();
  });

  it('tells who is the SPM of which pool', async () => {
    const holder = `spm@${HOST}:${system.rolePid('spm')}`;
    const row = new RegExp(`^POOL.*\\n${POOL} +dir +${holder} +\\d{4}-.* +1$`);
    await says(blockflow('spm'), 0, row);
    await says(blockflow('spm', POOL), 0, row);
    const document = JSON.parse(await says(blockflow('spm', '--json'), 0)) as unknown;
    const last = expect.objectContaining({ version: 1, holder, isHeld: true }) as unknown;
    expect(document).toEqual({
      pools: [{ pool: POOL, type: 'dir', unserved: null, last }],
      exitCode: 0,
    });
    await says(blockflow('spm', 'nowhere'), 2, 'no active pool of this name', 'pool-list');
  });
});

describe('The examples', () => {
  it('merge what can be merged, and report it', async () => {
    const [merged, stopped] = [await open('web3'), await open('web4')];
    const all = await example('merge-all.ts', 'web3/vda', 'absent/vda');
    expect(all.exitCode).toBe(4);
    const [, regained = ''] = /^web3\/vda: merged .* (\S+ MiB) regained$/m.exec(all.printed) ?? [];
    expect(all.printed.split('\n').at(-1)).toBe(`${regained} regained`);
    expect(all.told).toMatch(/^absent\/vda: Refused, .*libvirt knows no VM of that name there/);
    await expectLeftClean(merged, ['web3.qcow2']);
    await says(example('merge-all.ts', 'web3/vda'), 0, 'has no snapshots\n0.0 MiB regained');

    const doomed = await library.merge({ vm: 'web4', disk: 'vda', waitForDecision: true });
    await until('web4', 'waiting for a decision');
    await stopped.guest.kill();
    await expect(doomed.result()).rejects.toThrow('the VM stopped');
    await untilListed('web4', 'failed');
    const report = await says(example('nightly-report.ts'), 0, /^\d+ operation\(s\) since /);
    expect(report).toMatch(/ {2}web3\/vda +merged\n/);
    expect(report).toMatch(/ {2}web4\/vda +failed\n/);
    expect(report).toMatch(/^FAILED web4\/vda: .*the VM stopped/m);
    const sum = /^(\S+) MiB regained$/m.exec(report)?.[1];
    expect(Number(sum)).toBeGreaterThanOrEqual(parseFloat(regained));
    const none = await says(example('nightly-report.ts', '0'), 0, /^0 operation\(s\)/);
    expect(none).not.toContain('FAILED');
    await merged.verifyAfterCrash();
    await stopped.verifyAfterCrash();
  });
});

describe('Telemetry', () => {
  it('is metrics for Prometheus of what an agent does', async () => {
    const address = `127.0.0.1:${await freePort()}`;
    const agent = startWorker(environmentOf(system), 'host', '--host', 'h2', '--metrics', address);
    try {
      const scrape = () =>
        fetch(`http://${address}/metrics`).then(
          (answer) => answer.text(),
          () => undefined,
        );
      await waitUntil('metrics', scrape);
      await waitUntil('an agent of h2', () => library.spm('h2').catch(() => undefined));
      const metrics = await scrape();
      for (const name of ['task_received_total', 'execution_latency_count']) {
        const done = `^temporal_activity_${name}{activity_type="observeLeases",.*"host-h2".*} 1$`;
        expect(metrics).toMatch(new RegExp(done, 'm'));
      }
    } finally {
      agent.kill('SIGTERM');
      expect((await agent).exitCode).toBe(0);
      // As a user who retires a host does; merges would wait for its answer.
      await rm(join(system.host.pools, POOL, OWN_FOLDER, 'hosts', 'h2'));
    }
  });

  it('is a log whose lines name the workflow, the activity and the effect', async () => {
    await open('web5');
    const operation = await library.merge({ vm: 'web5', disk: 'vda' });
    const { runId } = operation;
    await operation.result();
    const linesOf = async (role: string) =>
      (await readFile(join(system.host.root, `${role}.log`), 'utf8'))
        .split('\n')
        // What comes after the last end of a line is still being written.
        .slice(0, -1)
        .map((line) => JSON.parse(line) as Record<string, unknown>)
        .filter(({ workflowId, effect }) => workflowId === 'web5/vda' && effect !== undefined);
    for (const [role, effect, activityType] of [
      ['orchestrator', 'audit.append-event', 'ensureEventRecorded'],
      ['host', 'libvirt.pivot', 'ensurePivoted'],
      ['spm', 'storage.unlink-volume', 'ensureVolumesAbsent'],
    ] as const) {
      for (const msg of ['effect begins', 'effect is done']) {
        // The file is written by this process, from a pipe.
        const line = await waitUntil(`${msg}: ${effect}`, async () =>
          (await linesOf(role)).find((found) => found['effect'] === effect && found['msg'] === msg),
        );
        expect(line).toMatchObject({
          level: 30,
          role,
          workflowType: 'LiveMerge',
          activityType,
          workflowRunId: runId,
          activityId: expect.stringMatching(/^\d+$/) as unknown,
          target: expect.stringContaining(role === 'orchestrator' ? runId : 'web5') as unknown,
        });
      }
    }
  });
});
