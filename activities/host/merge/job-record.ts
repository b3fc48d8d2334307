/**
 * The operation's record in the domain's metadata: anybody can see whose job it is, and a later run
 * adopts it.
 */
import type { JobRecord } from '../../../workflows/chain/schemas.ts';
import { operationId, type JobInput } from '../../../workflows/operation/contract.ts';
import { coldCommitState, removeColdCommit } from '../../adapters/qemu-img/cold-commit.ts';
import { removePivotReport } from '../../adapters/virsh/safe-pivot.ts';
import type { HostDeps } from '../deps.ts';
import { pivotFile, resumeAfterDeletion } from './give-back-guest.ts';
import type { DiskLook } from '../chain/observe-disk.ts';
import type { DomainInfo } from '../../adapters/virsh/domains.ts';

export function recordOf({ plan, jobId }: JobInput, phase: JobRecord['phase']): JobRecord {
  return {
    jobId,
    workflow: operationId(plan),
    disk: plan.disk,
    mode: plan.mode,
    phase,
    top: plan.top.path,
    base: plan.base.path,
    deletes: plan.deletes,
  };
}

/** The XMLs that a domain has; none when it is gone. */
const scopesOf = ({ state, persistent }: DomainInfo) => [
  ...(state === 'off' ? [] : ['--live']),
  ...(persistent ? ['--config'] : []),
];

/** Writes the record into the live and the persistent XML, before anything else changes. */
export async function recordJob(deps: HostDeps, input: JobInput, look: DiskLook): Promise<void> {
  const { plan } = input;
  const record = recordOf(input, 'commit');
  if (JSON.stringify(look.record) === JSON.stringify(record)) return;
  const scopes = scopesOf(look);
  // A transient domain that stopped is gone; the next step says so.
  if (scopes.length === 0) return;
  await deps.effect('libvirt.record-job', operationId(plan), () =>
    deps.libvirt.setRecord(plan.vmUuid, record, scopes),
  );
}

/**
 * Removes the record, and the agent's own small files of the job. A domain that is gone has no
 * record.
 */
export async function ensureJobForgotten(deps: HostDeps, { plan, jobId }: JobInput): Promise<void> {
  const { vmUuid, disk } = plan;
  await resumeAfterDeletion(deps, plan);
  const scopes = scopesOf(await deps.libvirt.domainInfo(vmUuid));
  await deps.effect('libvirt.forget-job', operationId(plan), async () => {
    // virsh removes neither when one of the two is not there, so what it leaves is removed one by
    // one.
    if (scopes.length === 0 || (await deps.libvirt.removeRecord(vmUuid, disk, scopes))) return;
    for (const scope of scopes) {
      await deps.libvirt.removeRecord(vmUuid, disk, [scope]);
    }
  });
  await removePivotReport(pivotFile(deps, plan));
  await removeColdCommit(coldCommitState(deps.runtimeDir, jobId));
}
