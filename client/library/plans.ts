/** What an operation would do: the plans behind `--dry-run`, asked of the host's agent. */
import { kinds } from '../../workflows/kinds.ts';
import { creationPlan, type CreationPlan } from '../../workflows/snapshot/create/plan.ts';
import { planOutcome, type PlanOutcome } from '../../workflows/merge/plan.ts';
import { removalPlan, type RemovalPlan } from '../../workflows/removal/plan.ts';
import { deletionPlan, type DeletionPlan } from '../../workflows/snapshot/delete/plan.ts';
import { revertPlanOutcome, type RevertPlanOutcome } from '../../workflows/snapshot/revert/plan.ts';
import { disksOutcome, type DisksPlan } from '../../workflows/transfer/disks/plan.ts';
import type { Lack } from '../../workflows/transfer/disks/planning.ts';
import { imagePlanOutcome, type ImagePlanOutcome } from '../../workflows/transfer/plan.ts';
import { ask } from './questions.ts';
import {
  completeRequest,
  type CopyRequest,
  type DeletionRequest,
  type DisksRequest,
  type MergeRequest,
  type MoveRequest,
  type RemoveRequest,
  type RevertRequest,
  type SnapshotRequest,
} from './requests.ts';
import type { Session } from './session.ts';

export async function planMerge(session: Session, request: MergeRequest): Promise<PlanOutcome> {
  const input = completeRequest(session, kinds.LiveMerge, request);
  const { vm, disk, host } = input;
  const asked = { question: `planning a merge of ${vm}/${disk}`, id: `plan ${vm}/${disk}`, host };
  return planOutcome.parse(await ask(session, asked, 'PlanMerge', input));
}

export async function planTransfer(
  session: Session,
  kind: typeof kinds.MoveImage | typeof kinds.CopyImage,
  request: MoveRequest | CopyRequest,
): Promise<ImagePlanOutcome> {
  const input = completeRequest(session, kind, request);
  const id = kind.id(input as never);
  const asked = { question: `planning for ${id}`, id: `plan ${id}`, host: input.host };
  const question = { operation: kind.type, ...input };
  return imagePlanOutcome.parse(await ask(session, asked, 'PlanImage', question));
}

export async function planDisks(
  session: Session,
  request: DisksRequest,
): Promise<DisksPlan | Lack> {
  const input = completeRequest(session, kinds.MoveDisks, request);
  const { vm, host } = input;
  const asked = { question: `planning for the disks of ${vm}`, id: `plan ${vm}`, host };
  return disksOutcome.parse(await ask(session, asked, 'PlanDisks', input));
}

export async function planRemoval(session: Session, request: RemoveRequest): Promise<RemovalPlan> {
  const input = completeRequest(session, kinds.RemoveImage, request);
  const id = `${input.pool}/${input.volume}`;
  const asked = { question: `planning for ${id}`, id: `plan ${id}`, host: input.host };
  return removalPlan.parse(await ask(session, asked, 'PlanRemoval', input));
}

export async function planSnapshot(
  session: Session,
  request: SnapshotRequest,
): Promise<CreationPlan> {
  const input = completeRequest(session, kinds.CreateSnapshot, request);
  const { vm, host } = input;
  const asked = { question: `planning a snapshot of ${vm}`, id: `plan ${vm}`, host };
  return creationPlan.parse(await ask(session, asked, 'PlanSnapshot', input));
}

export async function planDeletion(
  session: Session,
  request: DeletionRequest,
): Promise<DeletionPlan> {
  const input = completeRequest(session, kinds.DeleteSnapshot, request);
  const { vm, name, host } = input;
  const asked = { question: `planning to delete ${name} of ${vm}`, id: `plan ${vm}`, host };
  return deletionPlan.parse(await ask(session, asked, 'PlanSnapshotDeletion', input));
}

export async function planRevert(
  session: Session,
  request: RevertRequest,
): Promise<RevertPlanOutcome> {
  const input = completeRequest(session, kinds.RevertSnapshot, request);
  const { vm, host } = input;
  const asked = { question: `planning a revert of ${vm}`, id: `plan ${vm}`, host };
  return revertPlanOutcome.parse(await ask(session, asked, 'PlanRevert', input));
}
