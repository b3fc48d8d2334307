/**
 * Large sites against small ones: the same operations beside 300 VMs and in a pool of 30,000 files,
 * on 200 layers against 20, on 24 disks against 3.
 */
import { join } from 'node:path';
import type { Blockflow } from '../../client/index.ts';
import { awaitRemoval, connectTo } from '../support/host/roles/blockflow-client.ts';
import type { System } from '../support/host/system.ts';
import { defineDeep, defineMany, defineWide, fillPool } from '../support/scenes/large-site.ts';
import { POOL } from '../support/scenes/merge-scene.ts';
import { startMoveSystem, VAULT } from '../support/scenes/transfer/image-operations.ts';
import { median, ms, type Row } from './figures.ts';

interface Site {
  system: System;
  blockflow: Blockflow;
  folder: string;
}

const GOAL = 2;

export async function largeSites(quick: boolean): Promise<Row[]> {
  const system = await startMoveSystem({ name: 'large', onDisk: true });
  const blockflow = await connectTo(system);
  const site = { system, blockflow, folder: join(system.host.pools, POOL) };
  try {
    await all(site, 'warm');
    return [
      ...(await byLayers(site, quick ? [10, 50] : [20, 200])),
      ...(await byDisks(site, quick ? [2, 6] : [3, 24])),
      ...(await beside(
        site,
        quick ? { vms: 30, files: 3000 } : { vms: 300, files: 30_000 },
        quick,
      )),
    ];
  } finally {
    await blockflow.close();
    await system.close();
  }
}

const timed = async (step: () => Promise<unknown>) => {
  const begin = performance.now();
  await step();
  return performance.now() - begin;
};

/** Milliseconds of each operation on one small VM. */
async function all(site: Site, vm: string): Promise<Record<string, number>> {
  const { system, blockflow, folder } = site;
  const disk = { vm, disk: 'vda' };
  await defineDeep(system.host, vm, folder, 2);
  const times = {
    chain: await timed(() => blockflow.chain(disk)),
    merge: await timed(async () => (await blockflow.merge(disk)).result()),
    'snapshot create': await timed(async () =>
      (await blockflow.createSnapshot({ vm, name: 's1' })).result(),
    ),
    'snapshot list': await timed(() => blockflow.snapshots(vm)),
    'snapshot delete': await timed(async () =>
      (await blockflow.deleteSnapshot({ vm, name: 's1' })).result(),
    ),
    move: await timed(() => move(site, vm)),
    rm: await timed(async () => {
      await system.host.virsh('undefine', vm);
      const volume = { pool: VAULT, volume: `${vm}-0.qcow2`, format: 'qcow2' } as const;
      await (await blockflow.remove(volume)).result();
    }),
  };
  return times;
}

/** With the deletion of its source. */
async function move({ blockflow }: Site, vm: string): Promise<void> {
  const image = { kind: 'disk', vm, disk: 'vda' } as const;
  await awaitRemoval(blockflow, await (await blockflow.move({ image, to: VAULT })).result());
}

async function beside(
  site: Site,
  { vms, files }: { vms: number; files: number },
  quick: boolean,
): Promise<Row[]> {
  const repeats = Array.from({ length: quick ? 2 : 5 }, (_, at) => at);
  const small: Record<string, number>[] = [];
  for (const at of repeats) small.push(await all(site, `small${at}`));
  await defineMany(site.system.host, site.folder, vms);
  await fillPool(site.folder, files);
  const large: Record<string, number>[] = [];
  for (const at of repeats) large.push(await all(site, `large${at}`));
  const of = (runs: typeof small, name: string) => median(runs.map((run) => run[name] ?? NaN));
  return Object.keys(small[0] ?? {}).map((name) =>
    row(`${name} beside ${vms} VMs, ${files} files`, {
      small: of(small, name),
      large: of(large, name),
      per: '',
    }),
  );
}

async function byLayers(site: Site, [few, many]: readonly number[]): Promise<Row[]> {
  const { system, blockflow, folder } = site;
  const measure = async (layers = 0) => {
    const moved = `moved${layers}`;
    await defineDeep(system.host, moved, folder, layers);
    const merged = `merged${layers}`;
    await defineDeep(system.host, merged, folder, layers);
    const live = `live${layers}`;
    await defineDeep(system.host, live, folder, layers);
    await system.host.virsh('start', live, '--paused');
    const merge = (vm: string) => async () => (await blockflow.merge({ vm, disk: 'vda' })).result();
    const times = {
      'move of its layers': await timed(() => move(site, moved)),
      'merge of its layers, VM down': await timed(merge(merged)),
      'merge of its layers, VM running': await timed(merge(live)),
    };
    await system.host.virsh('destroy', live);
    return perPart(times, layers);
  };
  return paired('layers', [few, many], measure);
}

async function byDisks(site: Site, counts: readonly number[]): Promise<Row[]> {
  const { system, blockflow, folder } = site;
  const measure = async (count = 0) => {
    const vm = `wide${count}`;
    await defineWide(system.host, vm, folder, count);
    const times = {
      'snapshot create of its disks': await timed(async () =>
        (await blockflow.createSnapshot({ vm, name: 's1' })).result(),
      ),
      'snapshot delete of its disks': await timed(async () =>
        (await blockflow.deleteSnapshot({ vm, name: 's1' })).result(),
      ),
      'move of its disks': await timed(async () =>
        (await blockflow.moveDisks({ vm, to: VAULT })).result(),
      ),
    };
    return perPart(times, count);
  };
  return paired('disks', counts, measure);
}

const perPart = (times: Record<string, number>, parts: number) =>
  Object.fromEntries(Object.entries(times).map(([name, took]) => [name, took / parts]));

async function paired(
  unit: string,
  [few, many]: readonly (number | undefined)[],
  measure: (count: number | undefined) => Promise<Record<string, number>>,
): Promise<Row[]> {
  const [small, large] = [await measure(few), await measure(many)];
  return Object.entries(small).map(([name, took]) =>
    row(`${name}: ${many} ${unit} against ${few}`, {
      small: took,
      large: large[name] ?? NaN,
      per: ' each',
    }),
  );
}

function row(what: string, { small, large, per }: { small: number; large: number; per: string }) {
  const ratio = large / small;
  return {
    what,
    measured: `${ms(large)}${per} against ${ms(small)}, ratio ${ratio.toFixed(2)}`,
    goal: `ratio at most ${GOAL}`,
    met: ratio <= GOAL,
  };
}
