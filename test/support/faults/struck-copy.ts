/** A VM that is down, whose disk moves into a pool of 64 MiB, slowly, and back again each time. */
import { join } from 'node:path';
import { expect } from '@jest/globals';
import type { TransferResult } from '../../../workflows/transfer/kind.ts';
import { fill, unfill, untilOutOfSpace } from '../scenes/full-pool.ts';
import type { Handle } from '../scenes/image-operations.ts';
import { POOL } from '../scenes/merge-scene.ts';
import {
  contents,
  copiers,
  defineOff,
  diskOf,
  recordOf,
  removalOf,
  partBytes,
  startMove,
} from '../scenes/move-scene.ts';
import type { Start } from './struck-move.ts';
import type { System } from '../host/system.ts';
import { waitUntil } from '../wait-until.ts';

const VM = 'slow';
const TIGHT = 'tight';
const MIB = 2 ** 20;

/** What makes each effect of a copy under way happen. @param tight folder of the small pool */
export async function createStruckCopy(system: System, tight: string) {
  await system.host.definePool(TIGHT, tight);
  const file = await defineOff(system, VM, { bytes: 24 * MIB });
  const before = await contents([file]);
  const copy = join(tight, `${VM}.qcow2`);
  const move = (to: string, limit: number) =>
    startMove(system, { image: diskOf(VM), to, bandwidthBytesPerSecond: limit });

  const expectMoved = async (operation: Handle<TransferResult>) => {
    const result = await operation.result();
    expect(result).toMatchObject({ outcome: 'moved', chainAfter: [copy], warnings: [] });
    await removalOf(system, result);
    expect(await contents([copy])).toEqual(before);
    expect(await recordOf(system, VM)).toBe(copy);
    expect(await copiers(system)).toEqual([]);
    await removalOf(system, await (await move(POOL, 0)).result());
  };
  const begin = async (limit: number) => {
    const operation = await move(TIGHT, limit);
    const written = () => partBytes(system, `${VM}.qcow2`, tight);
    await waitUntil('the copy', async () => (await written()) > 0);
    return { operation, expectRight: () => expectMoved(operation) };
  };

  const limited: Start = async (arm) => {
    const run = await begin(2 * MIB);
    arm();
    const setLimit = () => run.operation.executeUpdate('bandwidth', { args: [0] });
    // Its client may lose the server.
    setLimit().catch(() => undefined);
    return run;
  };
  const cramped: Start = async (arm) => {
    const run = await begin(4 * MIB);
    await fill(tight, 2 * MIB);
    await untilOutOfSpace(run.operation);
    arm();
    await unfill(tight);
    return run;
  };
  return { limited, cramped };
}
