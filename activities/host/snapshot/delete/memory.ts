/** The file with the memory of a snapshot, which goes with it where that is proven safe (I3). */
import { filePoolTypes, observePools, poolOf } from '../../../adapters/virsh/pools.ts';
import { canonical, observeFile } from '../../../adapters/files/files.ts';
import { findOpener } from '../../../adapters/files/open-files.ts';
import { memoryFile, type Snapshot } from '../../../adapters/libvirt-xml/snapshot-xml.ts';
import { isUnlocked } from '../../../adapters/qemu-img/qemu-img.ts';
import { nameVolume } from '../../../pool-folder/id.ts';
import type { GoingSnapshot } from '../../../../workflows/snapshot/delete/plan.ts';
import type { HostDeps } from '../../deps.ts';
import { observeReferences } from '../../uses/references.ts';

interface Question {
  uuid: string;
  snapshot: Snapshot;
  others: readonly Snapshot[];
}

/** Null without a memory file, or when it is gone already. */
export async function observeMemory(
  deps: HostDeps,
  { uuid, snapshot, others }: Question,
): Promise<GoingSnapshot['memory']> {
  const spelled = memoryFile(snapshot);
  if (spelled === null) return null;
  const file = await canonical(spelled);
  const facts = await observeFile(file);
  if (!facts) return null;
  const { identity, allocatedBytes } = facts;
  const stays = (why: string) => ({ file, allocatedBytes, volume: null, stays: why });
  const pools = await observePools(deps.libvirt);
  const pool = poolOf(pools, file);
  if (!pool || !filePoolTypes.includes(pool.type)) return stays('it is in no active file pool');
  const other = others.find((one) => one.name !== snapshot.name && memoryFile(one) === spelled);
  if (other) return stays(`snapshot ${other.name} names it, too`);
  const owner = { uuid, disk: '' };
  const { uses } = await observeReferences(deps, {
    volumes: [{ path: file, identity }],
    pools,
    owner,
  });
  const [use] = uses;
  if (use) return stays(`${use.by} names it, too`);
  const opener = await findOpener(new Set([identity]));
  if (opener) return stays(`${opener.by} has it open`);
  if (!(await isUnlocked(file))) return stays('some process has it open');
  const volume = await nameVolume({ path: file, pool: pool.name, identity });
  return { file, allocatedBytes, volume, stays: null };
}
