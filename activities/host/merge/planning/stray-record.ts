/** A record of a merge that neither of its volumes can tell the end of. */
import { hold } from '../../../../workflows/operation/failures.ts';
import type { JobRecord, Volume } from '../../../../workflows/chain/schemas.ts';
import { recordUri } from '../../../adapters/virsh/records.ts';

/**
 * Something else has changed the disk since that merge was ended: what it left behind is not told
 * from what is in use now.
 * @throws Hold `divergent-chain` when neither top nor base of the record is in the chain
 */
export function assertRecordOfChain(
  attempted: string,
  vm: string,
  record: JobRecord | null,
  chain: readonly Volume[],
): void {
  if (!record || chain.some(({ path }) => [record.top, record.base].includes(path))) return;
  const { jobId, workflow, top, base, disk, deletes } = record;
  const kept = deletes.map(({ path }) => path).join(', ') || 'nothing';
  throw hold('divergent-chain', {
    attempted,
    now:
      `job ${jobId} of ${workflow} merged ${top} into ${base}, and the chain has neither of ` +
      `them: nothing was touched; it had yet to delete ${kept}`,
    next:
      'Find out who changed the disk, and delete what nothing uses. Then remove the record: ' +
      `\`virsh metadata ${vm} ${recordUri(disk)} --config --remove\`, ` +
      'with --live, too, while it runs',
  });
}
