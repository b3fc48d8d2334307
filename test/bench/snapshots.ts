/**
 * Snapshots of whole VMs against virsh: taking one of 1, 2, 4 and 8 disks, and deleting one of
 * three disks. In turn on one VM each.
 */
import { copyFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { POOL, startSharedSystem } from '../support/scenes/merge-scene.ts';
import {
  defineSeveralDisks,
  takeSnapshot,
  deleteSnapshot,
  type SeveralDisks,
} from '../support/scenes/snapshot-scene.ts';
import { createImage } from '../support/guest/shut-off-vm.ts';
import type { System } from '../support/host/system.ts';
import { median, ms, percentile, type Row } from './figures.ts';

/** The rows of one part, each on a host of its own: what it leaves disturbs no other one. */
const onSystem = (rows: (system: System, quick: boolean) => Promise<Row[]>) =>
  async function measure(quick: boolean): Promise<Row[]> {
    const system = await startSharedSystem({ onDisk: true });
    try {
      return await rows(system, quick);
    } finally {
      await system.close();
    }
  };

export const takingSnapshots = onSystem(async (system, quick) => {
  const picture = 'snapshots-by-disks' as const;
  const rows: Row[] = [];
  const stalls: { disks: number; ours: number[] }[] = [];
  for (const disks of [1, 2, 4, 8]) {
    const pairs = await taking(system, disks, quick ? 2 : 9);
    const row = toRow(`snapshot of ${disks} disk(s)`, pairs, null);
    const { oursMs, virshMs } = mediansOf(pairs);
    const lines = [
      ['blockflow', oursMs],
      ['virsh', virshMs],
    ] as const;
    const points = lines.map(([line, y]) => ({ picture, line, x: disks, y: Math.round(y) }));
    rows.push({ ...row, points });
    stalls.push({ disks, ours: pairs.flatMap(({ stallMs }) => stallMs ?? []) });
  }
  return [...rows, ...stalls.map(stallRow)];
});

/** Of a small pool, and then with other chains in it. */
export const deletingSnapshots = onSystem(async (system, quick) => {
  const repeats = quick ? 2 : 9;
  const small = await deleting(system, 'small', repeats);
  await addChains(system, OTHERS);
  const large = await deleting(system, 'large', repeats);
  return [
    toRow('deletion of a snapshot of 3 disks', small, 0.6),
    toRow(`the same among ${OTHERS} other overlays`, large, 0.6),
  ];
});

const OTHERS = 300;

/** Overlays of other VMs. */
async function addChains({ host }: System, count: number): Promise<void> {
  const pool = join(host.pools, POOL);
  const base = await createImage(join(pool, 'other.qcow2'));
  const overlay = await createImage(join(pool, 'other.0'), { below: base });
  const copies = Array.from({ length: count - 1 }, (_, at) => join(pool, `other.${at + 1}`));
  for (const copy of copies) await copyFile(overlay, copy);
}

interface Pair {
  oursMs: number;
  virshMs: number;
  stallMs: number | null;
}

async function start(
  system: System,
  vm: string,
  disks: number,
  written: number,
): Promise<SeveralDisks> {
  const scene = await defineSeveralDisks(system, vm, disks, { written });
  await scene.guest.start(60_000);
  await scene.guest.waitForAcks(20);
  return scene;
}

const timed = async <T>(step: () => Promise<T>) => {
  const begin = performance.now();
  return { result: await step(), tookMs: performance.now() - begin };
};

async function taking(system: System, disks: number, repeats: number): Promise<Pair[]> {
  const vm = `take${disks}`;
  const { guest } = await start(system, vm, disks, 1);
  await takeSnapshot(system, { vm, name: 'warm' });
  const pairs: Pair[] = [];
  for (let i = 0; i < repeats; i++) {
    const theirs = await timed(() =>
      system.host.virsh('snapshot-create-as', vm, `v${i}`, '--disk-only', '--atomic'),
    );
    const ours = await timed(() => takeSnapshot(system, { vm, name: `b${i}` }));
    const { stallMs } = ours.result;
    pairs.push({ oursMs: ours.tookMs, virshMs: theirs.tookMs, stallMs });
  }
  await guest.kill();
  return pairs;
}

/** Each snapshot holds what the guest has written meanwhile, to all disks. */
async function deleting(system: System, vm: string, repeats: number): Promise<Pair[]> {
  const { guest } = await start(system, vm, 3, 3);
  await takeSnapshot(system, { vm, name: 'warm' });
  await deleteSnapshot(system, { vm, name: 'warm' });
  const pairs: Pair[] = [];
  const targets = ['vda', 'vdb', 'vdc'];
  for (let i = 0; i < repeats; i++) {
    const name = `d${i}`;
    await takeSnapshot(system, { vm, name });
    await guest.waitForAcks(50);
    const theirs = await timed(async () => {
      for (const disk of targets) {
        await system.host.virsh('blockcommit', vm, disk, '--active', '--wait', '--pivot');
      }
      const pool = join(system.host.pools, POOL);
      const files = [`${vm}.${name}`, `${vm}-b.${name}`, `${vm}-c.${name}`];
      await Promise.all(files.map((file) => rm(join(pool, file))));
      await system.host.virsh('snapshot-delete', vm, name, '--metadata');
    });
    await takeSnapshot(system, { vm, name: `o${i}` });
    await guest.waitForAcks(50);
    const ours = await timed(() => deleteSnapshot(system, { vm, name: `o${i}` }));
    pairs.push({ oursMs: ours.tookMs, virshMs: theirs.tookMs, stallMs: null });
  }
  await guest.kill();
  return pairs;
}

const mediansOf = (pairs: readonly Pair[]) => ({
  oursMs: median(pairs.map(({ oursMs }) => oursMs)),
  virshMs: median(pairs.map(({ virshMs }) => virshMs)),
});

function toRow(what: string, pairs: readonly Pair[], goal: number | null): Row {
  const [ours, virsh] = [pairs.map(({ oursMs }) => oursMs), pairs.map(({ virshMs }) => virshMs)];
  const ratio = median(pairs.map(({ oursMs, virshMs }) => oursMs / virshMs));
  return {
    what,
    measured:
      `blockflow ${ms(median(ours))} (p99 ${ms(percentile(ours, 99))}), virsh ` +
      `${ms(median(virsh))} (p99 ${ms(percentile(virsh, 99))}), ratio ${ratio.toFixed(2)}, ` +
      `n=${pairs.length}`,
    goal: goal === null ? '-' : `ratio at most ${goal}`,
    met: goal === null ? null : ratio <= goal,
  };
}

/** 50 ms for two disks, and 10 ms for each further one. */
function stallRow({ disks, ours }: { disks: number; ours: number[] }): Row {
  const goal = 50 + 10 * Math.max(0, disks - 2);
  const p99 = percentile(ours, 99);
  return {
    what: `guest stall of a snapshot of ${disks} disk(s)`,
    measured: `median ${ms(median(ours))}, p99 ${ms(p99)}, n=${ours.length}`,
    goal: `p99 at most ${goal} ms`,
    met: p99 <= goal,
  };
}
