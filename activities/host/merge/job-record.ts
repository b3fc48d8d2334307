/**
 * The operation's record in the domain's metadata: a user can see whose job it is, and a later run
 * adopts it.
 */
import type { JobRecord } from '../../../workflows/chain/schemas.ts';
import { operationId } from '../../../workflows/chain/references.ts';
import type { JobInput } from '../../../workflows/merge/activities.ts';
import type { HostDeps } from '../deps.ts';
import type { DiskLook } from '../pivot/look-at-disk.ts';
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
    vmUuid: plan.vmUuid,
  };
}

/** The XMLs that a domain has; none when it is gone. */
export const scopesOf = ({ state, persistent }: DomainInfo) => [
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
