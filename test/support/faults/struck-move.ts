/**
 * Two VMs that are down, whose disks move between two pools again and again: one with a snapshot,
 * whose move may also be undone, and one whose disk changes its format each time.
 */
import { join } from 'node:path';
import { expect } from '@jest/globals';
import type { WorkflowHandle } from '@temporalio/client';
import { OWN_FOLDER } from '../../../activities/pool-folder/own-folder.ts';
import type { EffectName } from '../../../activities/door/effect.ts';
import type { TransferResult } from '../../../workflows/transfer/kind.ts';
import { cancelAt } from '../scenes/cancelled-move.ts';
import { POOL } from '../scenes/merge-scene.ts';
import {
  contents,
  copiers,
  defineOff,
  diskOf,
  recordOf,
  removalOf,
  startMove,
  undoHandle,
  untilMove,
  VAULT,
} from '../scenes/move-scene.ts';
import { poolFiles } from '../scenes/pool-files.ts';
import { takeExternalSnapshot } from '../guest/snapshots.ts';
import { createStruckCopy } from './struck-copy.ts';
import type { System } from '../host/system.ts';

export const VM = 'struck';
const names = [`${VM}-1.qcow2`, `${VM}.qcow2`];
const CONVERTED = 'converted';

export interface StruckRun {
  /** The workflow that the effect is of. */
  operation: WorkflowHandle;
  /** Waits for the end: one image, in one pool, the same data, nothing else. */
  expectRight(): Promise<void>;
}
/** Makes the effect happen; `arm` is called when its next passing is the one to be struck. */
export type Start = (arm: () => void) => Promise<StruckRun>;

type MoveEffect = EffectName<'move'>;
const undone: readonly MoveEffect[] = ['storage.abandon-reservation', 'storage.unlink-copy'];
/** Of the removal of the source. */
const removing: readonly MoveEffect[] = [
  'storage.quarantine-volume',
  'storage.wipe-volume',
  'storage.unlink-volume',
];

/** @param tight folder of a file system of 64 MiB */
export async function createStruckMove(
  system: System,
  tight: string,
): Promise<(effect: MoveEffect, arm: () => void) => Promise<StruckRun>> {
  const { toOther, back } = await createStruckChain(system);
  const convert = await createConverted(system);
  const { limited, cramped } = await createStruckCopy(system, tight);
  return (effect, arm) => {
    if (effect === 'image.create-target') return convert(arm);
    if (effect === 'image.set-copy-bandwidth') return limited(arm);
    if (effect === 'image.resume-copy') return cramped(arm);
    return undone.includes(effect) ? back(arm) : toOther(arm, removing.includes(effect));
  };
}

async function createStruckChain(system: System) {
  const folder = (pool: string) => join(system.host.pools, pool);
  const chain = (pool: string) => names.toReversed().map((name) => join(folder(pool), name));
  await defineOff(system, VM, { bytes: 2 ** 20 });
  const file = join(folder(POOL), `${VM}-1.qcow2`);
  await takeExternalSnapshot(system.host, VM, { file, name: 's1' });
  const data = await contents(chain(POOL));
  let [at, to] = [POOL, VAULT];
  const start = () => startMove(system, { image: diskOf(VM), to, wipe: true });
  const expectOnlyIn = async (pool: string) => {
    for (const other of [POOL, VAULT].filter((name) => name !== pool)) {
      expect(ofChain(await poolFiles(folder(other)))).toEqual([]);
    }
    expect(ofChain(await poolFiles(folder(pool)))).toEqual(names);
    expect(await contents(chain(pool))).toEqual(data);
    expect(await recordOf(system, VM)).toBe(chain(pool)[1]);
    expect(await copiers(system)).toEqual([]);
  };
  /** Asked for early: what is struck later may be who would answer. */
  const removalBy = async (move: WorkflowHandle) => {
    const { jobId } = await untilMove(move, 'a plan', (status) => status.jobId !== null);
    return system.client.workflow.getHandle(`${at}/${names[0]}/removal/${jobId}`);
  };
  const toOther = async (arm: () => void, isOfRemoval: boolean): Promise<StruckRun> => {
    arm();
    const move = await start();
    return {
      operation: isOfRemoval ? await removalBy(move) : move,
      async expectRight() {
        const result = await move.result();
        expect(result).toMatchObject({ outcome: 'moved', chainAfter: chain(to), warnings: [] });
        await removalOf(system, result);
        await expectOnlyIn(to);
        const snapshot = await system.host.virsh('snapshot-dumpxml', VM, 's1');
        expect(snapshot).not.toContain(folder(at));
        [at, to] = [to, at];
      },
    };
  };
  /** Cancelled when its copies have their names. */
  const back: Start = async (arm) => {
    const named = { effect: 'storage.name-volume', action: 'stop-after' } as const;
    const move = await cancelAt(system, start, { ...named, meanwhile: arm });
    await expect(move.result()).rejects.toThrow();
    const operation = await undoHandle(system, move);
    return {
      operation,
      async expectRight() {
        expect(await operation.result()).toMatchObject({ outcome: 'removed' });
        await expectOnlyIn(at);
      },
    };
  };
  return { toOther, back };
}

const ofChain = (files: readonly string[]) =>
  files.filter((name) => name.startsWith(VM) || name.startsWith(OWN_FOLDER));

async function createConverted(system: System): Promise<Start> {
  const file = await defineOff(system, CONVERTED, { bytes: 2 ** 20 });
  const before = await contents([file]);
  let [at, to, format] = [POOL, VAULT, 'raw' as 'raw' | 'qcow2'];
  return async (arm) => {
    arm();
    const image = diskOf(CONVERTED);
    const move = await startMove(system, { image, to, format });
    return {
      operation: move,
      async expectRight() {
        const result: TransferResult = await move.result();
        const copy = join(system.host.pools, to, `${CONVERTED}.${format}`);
        expect(result).toMatchObject({ outcome: 'moved', chainAfter: [copy], warnings: [] });
        await removalOf(system, result);
        expect(await contents([copy], [format])).toEqual(before);
        expect(await recordOf(system, CONVERTED)).toBe(copy);
        expect(await poolFiles(join(system.host.pools, at))).toEqual(
          expect.not.arrayContaining([expect.stringMatching(/^converted|^\.blockflow/)]),
        );
        expect(await copiers(system)).toEqual([]);
        [at, to, format] = [to, at, format === 'raw' ? 'qcow2' : 'raw'];
      },
    };
  };
}
