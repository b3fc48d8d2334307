/**
 * Many merges on one host at once, of running and of shut off VMs, and a deployment of every agent
 * in the middle of them. Twelve; fifty with BLOCKFLOW_ALL_CASES.
 */
import { readFile } from 'node:fs/promises';
import { describe, expect, it } from '@jest/globals';
import { runsAllCases } from '../../support/sample.ts';
import { FIFTY, PATIENCE_MS, prepareManyMerges } from '../../support/scenes/many-merges.ts';
import { startSharedSystem } from '../../support/scenes/merge-scene.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { useSystem } from '../../support/scenes/use-system.ts';

const TWELVE = { guests: 2, disks: 6, shutOff: 4 };
/** Seen: 200 MiB with twelve merges, 230 MiB with fifty. */
const MOST_MEBIBYTES = 400;

const system = useSystem(() => startSharedSystem({ name: 'fifty' }));

/** As an upgrade does it: each ends on SIGTERM, and a new process takes its place. */
async function deployAnew(): Promise<void> {
  const roles = ['host', 'orchestrator', 'spm'] as const;
  await Promise.all(
    roles.map(async (role) => {
      await system.killRole(role, 'SIGTERM');
      await system.startRole(role);
    }),
  );
}

/** The most memory that a process has had, in MiB. */
async function peakMebibytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}

describe('Many merges on one host at once', () => {
  it('all end well, each exactly once, with every agent redeployed meanwhile', async () => {
    const merges = await prepareManyMerges(system, runsAllCases ? FIFTY : TWELVE);
    await merges.start();
    const done = async () => (await merges.ended()) >= merges.count / 6;
    await waitUntil('the first to end', done, { timeoutMs: PATIENCE_MS });
    const agents = [await peakMebibytes(system.rolePid('host'))];
    await deployAnew();
    await merges.decide();
    await merges.expectMergedOnce();
    agents.push(await peakMebibytes(system.rolePid('host')));
    expect(Math.max(...agents)).toBeLessThan(MOST_MEBIBYTES);
  });
});
