/**
 * For how long a guest stands still when its disks switch together, against the same by hand: one
 * session of virsh that suspends it, pivots and resumes it. By QEMU's own clock.
 */
import { rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { defineSeveralDisks } from '../../support/scenes/snapshot-scene.ts';
import { median, ms, percentile, type Row } from '../figures.ts';
import { otherPool, poolOf, withMoves, type MovesScene } from '../moves-scene.ts';
import { listenToQemu, type QemuEvents } from './qemu-events.ts';

export const liveStalls = (quick: boolean) =>
  withMoves(async (scene): Promise<Row[]> => {
    const rows: Row[] = [];
    for (const count of [1, 2, 4]) rows.push(await contest(scene, count, quick ? 3 : 25));
    return rows;
  });

interface Disks {
  vm: string;
  /** Names of their files, by target. */
  names: Record<string, string>;
}

async function contest(scene: MovesScene, count: number, repeats: number): Promise<Row> {
  const { system } = scene;
  const vm = `stall${count}`;
  const { guest, disks: paths } = await defineSeveralDisks(system, vm, count);
  await guest.start(60_000);
  await guest.waitForAcks(20);
  const files = Object.entries(paths).map(([disk, path]) => [disk, basename(path)] as const);
  const disks = { vm, names: Object.fromEntries(files) };
  const events = listenToQemu(system.host, vm, '^(STOP|RESUME)$');
  const [ours, byHand]: [number[], number[]] = [[], []];
  try {
    await together(scene, disks);
    for (let round = 0; round < repeats; round++) {
      byHand.push(await stallOf(events, () => pivotByHand(scene, disks)));
      ours.push(await stallOf(events, () => together(scene, disks)));
    }
  } finally {
    await events.stop();
  }
  await guest.kill();
  return toRow(count, ours, byHand);
}

/** The one suspension meanwhile, in milliseconds. */
async function stallOf(events: QemuEvents, work: () => Promise<void>): Promise<number> {
  const from = events.seen.length;
  await work();
  const resumed = await events.until('the guest to go on', from, ({ name }) => name === 'RESUME');
  const [stopped, ...more] = events.seen.slice(from).filter(({ name }) => name === 'STOP');
  if (!stopped || more.length > 0) throw new Error(`${more.length + 1} suspensions, not one`);
  return resumed.atMs - stopped.atMs;
}

async function together(scene: MovesScene, { vm, names }: Disks): Promise<void> {
  const { blockflow, at } = scene;
  const to = otherPool(scene, { vm });
  const operation = await blockflow.moveDisks({ vm, to: to.name, maxPauseMs: 60_000 });
  const { stallMs, disks, removals } = await operation.result();
  const count = Object.keys(names).length;
  if (stallMs === null || disks.length !== count) throw new Error('they did not switch together');
  at.set(vm, to);
  await Promise.all(removals.map((id) => removalOf(scene, id)));
}

const removalOf = ({ system }: MovesScene, id: string) =>
  system.client.workflow.getHandle(id).result();

async function pivotByHand(scene: MovesScene, { vm, names }: Disks): Promise<void> {
  const { system, at } = scene;
  const [from, to] = [poolOf(scene, { vm }), otherPool(scene, { vm })];
  const targets = Object.keys(names);
  const copy = async (disk: string) => {
    const wanted = ['--dest', join(to.folder, names[disk] ?? ''), '--format', 'qcow2'];
    await system.host.virsh('blockcopy', vm, disk, ...wanted, '--transient-job', '--wait');
  };
  for (const disk of targets) await copy(disk);
  const pivots = targets.map((disk) => `blockjob ${vm} ${disk} --pivot`);
  await system.host.virsh([`suspend ${vm}`, ...pivots, `resume ${vm}`].join('; '));
  await Promise.all(targets.map((disk) => rm(join(from.folder, names[disk] ?? ''))));
  at.set(vm, to);
}

function toRow(count: number, ours: readonly number[], byHand: readonly number[]): Row {
  const words = (values: readonly number[]) =>
    `median ${ms(median(values))}, p99 ${ms(percentile(values, 99))}`;
  const ratio = percentile(ours, 99) / percentile(byHand, 99);
  return {
    what: `guest stall when ${count} disk(s) switch together`,
    measured:
      `${words(ours)}; one session of virsh ${words(byHand)}; ` +
      `ratio of p99 ${ratio.toFixed(2)}, n=${ours.length}`,
    goal: 'ratio of p99 at most 1.3',
    met: ratio <= 1.3,
  };
}
