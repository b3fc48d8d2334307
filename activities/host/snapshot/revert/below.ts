/** Layers that must stay as they are: what stands on one that was changed is not readable right. */
import { dirname } from 'node:path';
import { refused } from '../../../../workflows/operation/failures.ts';
import type { DiskSwitch, Fingerprint } from '../../../../workflows/snapshot/revert/plan.ts';
import type { Volume } from '../../../../workflows/chain/schemas.ts';
import { observeFile } from '../../../adapters/files/files.ts';
import { identityIn, lookedAt } from '../../../pool-folder/id.ts';

export async function fingerprintsOf(volumes: readonly Volume[]): Promise<Fingerprint[]> {
  const each = new Map(volumes.map((volume) => [volume.path, volume]));
  const found = [...each.values()].map(async (volume) => {
    const facts = await observeFile(volume.path);
    if (!facts) throw new Error(`${volume.path} disappeared while it was observed`);
    const { path, identity } = await lookedAt(volume);
    const { sizeBytes, modifiedNs } = facts;
    return { path, identity, sizeBytes, modifiedNs };
  });
  return Promise.all(found);
}

/** In words: the first one that is gone, another file, or changed; null without. */
export async function changedBelow({ disks }: Pick<DiskSwitch, 'disks'>): Promise<string | null> {
  for (const { path, sizeBytes, modifiedNs, identity } of disks.flatMap(({ below }) => below)) {
    const [now, planned] = await Promise.all([
      observeFile(path),
      identityIn(dirname(path), { identity }),
    ]);
    if (!now) return `${path} does not exist any more`;
    if (now.identity !== planned) return `${path} is another file now`;
    if (now.sizeBytes === sizeBytes && now.modifiedNs === modifiedNs) continue;
    return `${path} was changed at ${timeOf(now.modifiedNs)}`;
  }
  return null;
}

export const timeOf = (modifiedNs: string) =>
  new Date(Number(BigInt(modifiedNs) / 1_000_000n)).toISOString();

export const baseChanged = (attempted: string, now: string) =>
  refused('base-changed', {
    attempted,
    now: `${now}, so what stands on it is not what it was; nothing was touched`,
    next: 'Keep the disks as they are; the layers can still be copied and looked at',
  });
