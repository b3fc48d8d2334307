/** A record of a merge that neither of its volumes can tell the end of. */
import { hold } from '../../../../workflows/operation/failures.ts';
import type { JobRecord } from '../../../../workflows/chain/schemas.ts';
import { recordUri } from '../../../adapters/virsh/records.ts';
import { shell } from '../../../../workflows/operation/names.ts';

/**
 * Neither top nor base of it is in the chain: something else has changed the disk since that merge
 * was ended, and what it left behind is not told from what is in use now.
 */
export function strayRecord(attempted: string, vm: string, record: JobRecord) {
  const { jobId, workflow, top, base, disk, deletes } = record;
  const kept = deletes.map(({ path }) => path).join(', ') || 'nothing';
  return hold('divergent-chain', {
    attempted,
    now:
      `job ${jobId} of ${workflow} merged ${top} into ${base}, and the chain has neither of ` +
      `them: nothing was touched; it had yet to delete ${kept}`,
    next:
      'Find out who changed the disk, and delete what nothing uses. Then remove the record: ' +
      `${shell`virsh metadata ${vm} ${recordUri(disk)} --config --remove`}, ` +
      'with --live, too, while it runs',
  });
}
