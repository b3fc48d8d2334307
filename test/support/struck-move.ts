/** A VM that is down, whose disk with a snapshot moves between two pools again and again. */
import { join } from 'node:path';
import { expect } from '@jest/globals';
import type { WorkflowHandle } from '@temporalio/client';
import type { TransferResult } from '../../workflows/image-schemas.ts';
import { POOL } from './merge-scene.ts';
import { contents, copiers, defineOff, diskOf, recordOf, removalOf } from './move-scene.ts';
import { startMove, VAULT } from './move-scene.ts';
import { poolFiles } from './pool-files.ts';
import { takeExternalSnapshot } from './snapshots.ts';
import type { System } from './system.ts';

export const VM = 'struck';
const names = [`${VM}-1.qcow2`, `${VM}.qcow2`];

export interface StruckMove {
  /** Starts the move to the other pool. */
  start(): Promise<WorkflowHandle<(input: unknown) => Promise<TransferResult>>>;
  /** The removal that the move which runs now starts at its end; it has effects of its own. */
  removal(): WorkflowHandle;
  /** Once the operation has ended: one image, in the other pool, the same data, nothing else. */
  expectMoved(result: TransferResult): Promise<void>;
}

export async function createStruckMove(system: System): Promise<StruckMove> {
  const folder = (pool: string) => join(system.host.pools, pool);
  const chain = (pool: string) => names.toReversed().map((name) => join(folder(pool), name));
  await defineOff(system, VM, { bytes: 2 ** 20 });
  const file = join(folder(POOL), `${VM}-1.qcow2`);
  await takeExternalSnapshot(system.host, VM, { file, name: 's1' });
  const data = await contents(chain(POOL));
  let [at, to] = [POOL, VAULT];
  return {
    start: () => startMove(system, { image: diskOf(VM), to, wipe: true }),
    removal: () => system.client.workflow.getHandle(`${at}/${names[0]}/removal`),
    async expectMoved(result) {
      expect(result).toMatchObject({ outcome: 'moved', chainAfter: chain(to), warnings: [] });
      await removalOf(system, result);
      expect(await poolFiles(folder(at))).toEqual([]);
      expect(await poolFiles(folder(to))).toEqual(names);
      expect(await contents(chain(to))).toEqual(data);
      expect(await recordOf(system, VM)).toBe(chain(to)[1]);
      const snapshot = await system.host.virsh('snapshot-dumpxml', VM, 's1');
      expect(snapshot).not.toContain(folder(at));
      expect(await copiers(system)).toEqual([]);
      [at, to] = [to, at];
    },
  };
}
