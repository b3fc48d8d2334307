/** A VM of its own for each case, whose disk moves to another pool; most of them are down. */
import { rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { beforeAll, expect } from '@jest/globals';
import type { EffectName } from '../../../../activities/door/effect.ts';
import { OWN_FOLDER } from '../../../../activities/pool-folder/own-folder.ts';
import type { ImageFormat } from '../../guest/disks/guest-disk.ts';
import { takeExternalSnapshot } from '../../guest/disks/snapshots.ts';
import { mountOwn } from '../../host/own-mount.ts';
import type { System } from '../../host/system.ts';
import { cancelAt } from '../../scenes/transfer/cancelled-move.ts';
import { fill, unfill, untilOutOfSpace } from '../../scenes/full-pool.ts';
import { POOL } from '../../scenes/merge-scene.ts';
import {
  contents,
  copiers,
  defineOff,
  diskOf,
  partBytes,
  recordOf,
  removalOf,
  startMove,
  startMoveSystem,
  undoHandle,
  VAULT,
} from '../../scenes/transfer/move-scene.ts';
import { poolFiles } from '../../scenes/pool-files.ts';
import { useSystem } from '../../scenes/use-system.ts';
import { use } from '../../use.ts';
import { waitUntil } from '../../wait-until.ts';
import type { LiveEffect } from '../effects-of-moves.ts';
import { liveScenarios } from './live-move-scenarios.ts';
import type { Stage, StruckRun } from './stage.ts';
import { untilStatus } from '../../scenes/until-status.ts';

const MIB = 2 ** 20;
/** A pool of 64 MiB. */
const TIGHT = 'tight';

/** What a case has: the VM is not yet defined. */
interface Given {
  system: System;
  vm: string;
  /** Of each pool. */
  folders: Record<string, string>;
  /** The next passing of the effect is the one to be struck. */
  arm: () => void;
}
type Scenario = (given: Given) => Promise<StruckRun>;

/** Files and daemons of blockflow. */
async function ownThings({ system, folders }: Given): Promise<unknown[]> {
  const names = await Promise.all(Object.values(folders).map(poolFiles));
  const own = names.flat().filter((name) => name.startsWith(OWN_FOLDER));
  return [...own, ...(await copiers(system))];
}

interface Content {
  format?: ImageFormat;
  bytes?: number;
  /** With a libvirt snapshot `s1` of the base. */
  hasSnapshot?: boolean;
}

/** The VM's disk in pool `images`, and what must be true of it afterwards. */
async function defineImage(given: Given, content: Content = {}) {
  const { system, vm, folders } = given;
  const { format = 'qcow2', bytes = MIB, hasSnapshot = false } = content;
  // A failed case may have left some.
  const leftovers = await ownThings(given);
  const chain = [await defineOff(system, vm, { format, bytes })];
  if (hasSnapshot) {
    const file = join(folders[POOL] ?? '', `${vm}-1.qcow2`);
    await takeExternalSnapshot(system.host, vm, { file, name: 's1' });
    chain.push(file);
  }
  const data = await contents(chain, [format]);
  const isOurs = (name: string) => name.startsWith(`${vm}.`) || name.startsWith(`${vm}-`);
  const chainIn = (pool: string, as: ImageFormat = format) =>
    chain.map((file) => join(folders[pool] ?? '', basename(file).replace(/\w+$/, as)));

  /** It is in this pool alone, with its data; takes it and the VM away. */
  async function expectOnlyIn(pool: string, as?: ImageFormat): Promise<void> {
    const now = chainIn(pool, as);
    const snapshot = hasSnapshot ? await system.host.virsh('snapshot-dumpxml', vm, 's1') : '';
    for (const [name, folder] of Object.entries(folders)) {
      const there = (await poolFiles(folder)).filter(isOurs);
      expect(there).toEqual(name === pool ? now.map((file) => basename(file)).sort() : []);
      if (name !== pool) expect(snapshot).not.toContain(folder);
    }
    expect(await contents(now, [as ?? format])).toEqual(data);
    expect(await recordOf(system, vm)).toBe(now.at(-1));
    const things = await ownThings(given);
    expect(things.filter((thing) => !leftovers.includes(thing))).toEqual([]);
    await system.host.virsh('undefine', vm, '--snapshots-metadata');
    await Promise.all(now.map((file) => rm(file)));
  }
  return { chainIn, expectOnlyIn };
}

type Image = Awaited<ReturnType<typeof defineImage>>;
type Move = Awaited<ReturnType<typeof startMove>>;

/** There is no guest. */
const MEASURED = { guestWrites: 0, stallMs: null };

/** A move that ends in pool `to`, its source removed. */
function movedTo(
  { system, vm }: Given,
  image: Image,
  move: Move,
  to: string,
  as?: ImageFormat,
): StruckRun {
  const expectEnd = async () => {
    const result = await move.result();
    const chainAfter = image.chainIn(to, as);
    expect(result).toMatchObject({ outcome: 'moved', chainAfter, warnings: [] });
    await removalOf(system, result);
  };
  const expectRight = async () => {
    await expectEnd();
    await image.expectOnlyIn(to, as);
    return MEASURED;
  };
  return { operation: move, vm, expectEnd, expectRight };
}

const startWiping = ({ system, vm }: Given) =>
  startMove(system, { image: diskOf(vm), to: VAULT, wipe: true });

const moved: Scenario = async (given) => {
  const image = await defineImage(given, { hasSnapshot: true });
  given.arm();
  return movedTo(given, image, await startWiping(given), VAULT);
};

/** As above; the effect is of the removal of the source. */
const removed: Scenario = async (given) => {
  const image = await defineImage(given, { hasSnapshot: true });
  given.arm();
  const move = await startWiping(given);
  // Asked for early: what is struck later may be who would answer.
  const { jobId } = await untilStatus(move, 'a plan', (status) => status.jobId !== null);
  const id = `${POOL}/${given.vm}-1.qcow2/removal/${jobId}`;
  const operation = given.system.client.workflow.getHandle(id);
  return { ...movedTo(given, image, move, VAULT), operation };
};

/** Cancelled when its copies have their names; the effect is of their deletion. */
const undone: Scenario = async (given) => {
  const { system, vm, arm } = given;
  const image = await defineImage(given, { hasSnapshot: true });
  const named = { effect: 'storage.name-volume', action: 'stop-after' } as const;
  const move = await cancelAt(system, () => startWiping(given), { ...named, meanwhile: arm });
  await expect(move.result()).rejects.toThrow();
  const operation = await undoHandle(system, move);
  const expectEnd = async () =>
    expect(await operation.result()).toMatchObject({ outcome: 'removed' });
  const expectRight = async () => {
    await expectEnd();
    await image.expectOnlyIn(POOL);
    return MEASURED;
  };
  return { operation, vm, expectEnd, expectRight };
};

const converted =
  (from: ImageFormat, format: ImageFormat): Scenario =>
  async (given) => {
    const image = await defineImage(given, { format: from });
    given.arm();
    const move = await startMove(given.system, { image: diskOf(given.vm), to: VAULT, format });
    return movedTo(given, image, move, VAULT, format);
  };

/** A copy under way, so slow that it is met at it. */
async function copying(given: Given, bandwidthBytesPerSecond: number) {
  const { system, vm, folders } = given;
  const image = await defineImage(given, { bytes: 24 * MIB });
  const move = await startMove(system, { image: diskOf(vm), to: TIGHT, bandwidthBytesPerSecond });
  const written = () => partBytes(system, `${vm}.qcow2`, folders[TIGHT]);
  await waitUntil('the copy', async () => (await written()) > 0);
  return { move, run: movedTo(given, image, move, TIGHT) };
}

/** Its limit is taken away. */
const limited: Scenario = async (given) => {
  const { move, run } = await copying(given, 2 * MIB);
  given.arm();
  // Its client may lose the server.
  move.executeUpdate('bandwidth', { args: [0] }).catch(() => undefined);
  return run;
};

/** It finds no space, until there is some. */
const cramped: Scenario = async (given) => {
  const { move, run } = await copying(given, 4 * MIB);
  const tight = given.folders[TIGHT] ?? '';
  await fill(tight, 2 * MIB);
  await untilOutOfSpace(move);
  given.arm();
  await unfill(tight);
  return run;
};

/** What makes an effect happen; all others but the live ones happen in a plain move. */
const scenarios: Partial<Record<EffectName<'move'>, readonly Scenario[]>> = {
  'image.create-target': [converted('qcow2', 'raw'), converted('raw', 'qcow2')],
  'image.set-copy-bandwidth': [limited],
  'image.resume-copy': [cramped],
  'storage.quarantine-volume': [removed],
  'storage.wipe-volume': [removed],
  'storage.unlink-volume': [removed],
  'storage.abandon-reservation': [undone],
  'storage.unlink-copy': [undone],
};

/** VMs of a system whose disks move to a second pool, or to a small third one. */
export function useMoveStage(name: string, writes = 0): Stage {
  const mount = use('the mount', () => mountOwn('ext4', 64));
  const system = useSystem(() => startMoveSystem({ name }));
  beforeAll(() => system.host.definePool(TIGHT, mount.path));
  let count = 0;
  return {
    system,
    start(effect, arm) {
      const { pools } = system.host;
      const folders = {
        [POOL]: join(pools, POOL),
        [VAULT]: join(pools, VAULT),
        [TIGHT]: mount.path,
      };
      const vm = `struck${++count}`;
      const live = effect in liveScenarios ? liveScenarios[effect as LiveEffect] : null;
      if (live) return live({ system, vm, writes, arm });
      const possible = scenarios[effect as EffectName<'move'>] ?? [moved];
      const scenario = possible[count % possible.length] ?? moved;
      return scenario({ system, vm, folders, arm });
    },
  };
}
