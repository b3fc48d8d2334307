/** Merges of many small VMs of one host at once, against as many `virsh` processes. */
import { rm } from 'node:fs/promises';
import type { System } from '../support/host/system.ts';
import { startScene, startSharedSystem, type Scene } from '../support/scenes/merge-scene.ts';
import { cpuSeconds } from './cpu-seconds.ts';
import { snapshotAgain, timed } from './measuring.ts';
import { median, ms, type Row } from './figures.ts';

export async function manyVms(quick: boolean): Promise<Row[]> {
  const system = await startSharedSystem({ onDisk: true });
  try {
    const scenes: Scene[] = [];
    const guest = { slots: 16, writesPerSecond: 2 };
    for (let i = 0; i < (quick ? 5 : 50); i++) {
      scenes.push(await startScene({ system, vm: `small${i}`, guest }));
    }
    // The first merges compile the workflow code.
    await mergeAll(system, scenes);
    const [ours, theirs]: [Merged[], number[]] = [[], []];
    for (let round = 0; round < (quick ? 1 : 5); round++) {
      const files = await snapshotAll(scenes);
      theirs.push(await commitAll(system, scenes, files));
      await snapshotAll(scenes);
      ours.push(await mergeAll(system, scenes));
    }
    return toRows(scenes.length, ours, theirs);
  } finally {
    await system.close();
  }
}

interface Merged {
  ms: number;
  stallMs: number;
  agentSeconds: number;
}

const vmOf = ({ guest }: Scene) => guest.name;

async function snapshotAll(scenes: readonly Scene[]): Promise<string[]> {
  const files: string[] = [];
  for (const scene of scenes) files.push(await snapshotAgain(scene, 2));
  return files;
}

async function mergeAll(system: System, scenes: readonly Scene[]): Promise<Merged> {
  const agent = system.rolePid('host');
  const before = await cpuSeconds(agent);
  const begin = performance.now();
  const merges = scenes.map(async (scene) => {
    const merge = await system.merge({ vm: vmOf(scene), disk: 'vda' });
    return merge.result();
  });
  const results = await Promise.all(merges);
  return {
    ms: performance.now() - begin,
    stallMs: Math.max(...results.map(({ stallMs }) => stallMs ?? 0)),
    agentSeconds: (await cpuSeconds(agent)) - before,
  };
}

const commitAll = ({ host }: System, scenes: readonly Scene[], files: readonly string[]) =>
  timed(() =>
    Promise.all(
      scenes.map(async (scene, at) => {
        await host.virsh('blockcommit', vmOf(scene), 'vda', '--active', '--wait', '--pivot');
        await rm(files[at] as string);
      }),
    ),
  );

function toRows(vms: number, ours: readonly Merged[], theirs: readonly number[]): Row[] {
  const ratio = median(ours.map((round, at) => round.ms / (theirs[at] ?? NaN)));
  const how = `merges of ${vms} small VMs at once`;
  const cpu = median(ours.map(({ agentSeconds }) => agentSeconds));
  const stall = Math.max(...ours.map(({ stallMs }) => stallMs));
  const row = (what: string, measured: string): Row => ({
    what: `${how}: ${what}`,
    measured,
    goal: '-',
    met: null,
  });
  return [
    {
      what: how,
      measured:
        `blockflow ${ms(median(ours.map((round) => round.ms)))}, virsh processes ` +
        `${ms(median(theirs))}, ratio ${ratio.toFixed(2)}, n=${ours.length}`,
      goal: 'ratio at most 1',
      met: ratio <= 1,
    },
    row('processor time of the agent and its processes', `${cpu.toFixed(1)} s`),
    row('longest stall of a guest', ms(stall)),
  ];
}
