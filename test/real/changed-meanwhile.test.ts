/** What somebody does to a VM that is down while an operation on its disk is under way. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { POOL } from '../support/merge-scene.ts';
import { digests, inVault, recordOf, removalOf } from '../support/move-scene.ts';
import { startMoveSystem } from '../support/move-scene.ts';
import { poolFiles } from '../support/pool-files.ts';
import { createImage } from '../support/shut-off-vm.ts';
import { slowMove, unlimit } from '../support/slow-move.ts';
import type { System } from '../support/system.ts';

let system: System;
beforeAll(async () => {
  system = await startMoveSystem({ name: 'meanwhile' });
});
afterAll(() => system.close());

const images = () => join(system.host.pools, POOL);
const virsh = (...args: string[]) => system.host.virsh(...args);

describe('A snapshot made while the image is copied', () => {
  it('follows the move, although the plan did not know it', async () => {
    const { file, before, move } = await slowMove(system, 'snapped');
    const other = await createImage(join(system.host.root, 'other.qcow2'));
    const disk = ['--config', '--sourcetype', 'file', '--subdriver', 'qcow2'];
    await virsh('attach-disk', 'snapped', other, 'vdb', ...disk);
    await virsh(
      ...['snapshot-create-as', 'snapped', 's3', '--disk-only'],
      ...['--diskspec', 'vda,snapshot=no'],
      ...['--diskspec', `vdb,snapshot=external,file=${other}.s3`],
    );
    expect(await virsh('snapshot-dumpxml', 'snapped', 's3')).toContain(file);
    await unlimit(move);
    const result = await move.result();
    expect(result).toMatchObject({ outcome: 'moved', verified: true, warnings: [] });
    const xml = await virsh('snapshot-dumpxml', 'snapped', 's3');
    expect(xml).toContain(inVault(system, file));
    expect(xml).not.toContain(file);
    expect(await recordOf(system, 'snapped')).toBe(inVault(system, file));
    expect(await removalOf(system, result)).toMatchObject({ outcome: 'removed' });
    expect(await poolFiles(images())).not.toContain('snapped.qcow2');
    expect(await digests([inVault(system, file)])).toEqual(before);
    await rm(inVault(system, file));
  });
});
