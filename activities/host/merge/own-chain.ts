/** Whether the volumes of a cold merge are layers of the disk, as this host sees it now. */
import { hold } from '../../../workflows/operation/failures.ts';
import { operationId } from '../../../workflows/chain/references.ts';
import type { Volume } from '../../../workflows/chain/schemas.ts';
import type { MergePlan } from '../../../workflows/merge/plan.ts';
import { inodeOf } from '../../pool-folder/id.ts';
import type { HostDeps } from '../deps.ts';
import { observeChain } from '../chain/observe-chain.ts';
import { attempt } from './observe-disk.ts';
import { shell } from '../../../workflows/operation/names.ts';

/**
 * A plan alone is no proof: `qemu-img` would commit any file into any other. What has switched
 * already has base, and nothing that is committed.
 * @throws Hold `divergent-chain`; as `observeChain`
 */
export async function assertOfDisk(deps: HostDeps, plan: MergePlan): Promise<void> {
  const { vm, disk, host, base, committed, overlay } = plan;
  const { volumes } = await observeChain(deps, { vm, disk, host }, plan.vmUuid);
  const found = volumes.map(sameLayer);
  const planned = [base, ...committed, ...(overlay ? [overlay] : [])].map(sameLayer);
  const from = found.indexOf(sameLayer(base));
  const isBefore = planned.every((layer, at) => found[from + at] === layer);
  const isAfter = !committed.some((layer) => found.includes(sameLayer(layer)));
  if (from >= 0 && (isBefore || isAfter)) return;
  const chain = volumes.map(({ path }) => path).join(', ');
  throw hold('divergent-chain', {
    attempted: attempt(plan),
    now: `the layers of ${operationId({ vm, disk })} are ${chain} now; no file was changed`,
    next: `Compare with ${shell`blockflow chain ${vm} ${disk}`}, then repeat the request`,
  });
}

/** Without the device, whose number changes with a mount. */
const sameLayer = ({ path, format, identity }: Volume) =>
  [path, format, inodeOf(identity)].join('\n');
