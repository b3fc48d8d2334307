/** The contract of MoveImage, CopyImage and RemoveImage: ids, activities, outcomes. Effect-free. */
import { defineQuery } from '@temporalio/workflow';
import { operationId, type OperationStatus, type Phase } from '../operation/contract.ts';
import type {
  CopyImageInput,
  ImagePlan,
  ImagePlanOutcome,
  ImageRef,
  MoveImageInput,
  RemovalPlan,
  RemoveImageInput,
  Reservation,
  PoolLease,
} from './schemas.ts';
import type { NamedVolume } from '../chain/schemas.ts';

/** The workflow id is the image, and its lock: a VM's disk excludes a merge of it. */
export const imageId = (image: ImageRef) =>
  image.kind === 'disk' ? operationId(image) : `${image.pool}/${image.volume}`;

/**
 * A removal's id: the image's own; for what a move left, which is deleted while the next operation
 * may run, one of the job's: another move may leave another image of that name meanwhile.
 */
export function removalId({ pool, volume, left, copies }: RemoveImageInput): string {
  const id = `${pool}/${volume}`;
  if (copies) return `${id}/undo/${copies.owners[0]}`;
  return left ? `${id}/removal/${left.jobId}` : id;
}

/** What a failure names: which part of the operation it was that failed. */
export type ImagePart = 'plan' | 'copy' | 'verify' | 'switch' | 'delete source' | 'delete target';

/** What the plan is for: a copy touches no record, and may be of a shared image. */
export type PlanRequest =
  ({ operation: 'MoveImage' } & MoveImageInput) | ({ operation: 'CopyImage' } & CopyImageInput);

export interface ImageJob {
  plan: ImagePlan;
  jobId: string;
}
/** What is known of copies without the rest of their plan. */
export interface CopiesJob {
  plan: Pick<ImagePlan, 'to'>;
  jobId: string;
}
/** One volume of the image, by its place in the plan. */
export interface VolumeJob extends ImageJob {
  at: number;
}

/**
 * `changed`: somebody wrote to the source since it was planned, so that it must be planned again.
 */
export type HoldOutcome =
  | { outcome: 'held' }
  | { outcome: 'changed'; reason: string }
  | { outcome: 'in-use'; reason: string };

export type CopyFailure =
  Exclude<HoldOutcome, { outcome: 'held' }> | { outcome: 'failed'; reason: string };
export type CopyOutcome =
  { outcome: 'copied'; by: 'mirror' | 'reflink' | 'earlier run' } | CopyFailure;

/** Who refers to a volume: a domain, a snapshot of one, or another chain. */
export interface VolumeUse {
  kind: 'domain' | 'snapshot' | 'child';
  /** The volume referred to. */
  path: string;
  /** Who refers to it, in words. */
  by: string;
}

export interface AwaitedPool {
  to: ImagePlan['to'];
  jobId: string;
  until: 'reserved' | 'mounted';
}

export interface UnwantedReservation {
  to: ImagePlan['to'];
  jobId: string;
  /** The copies stay under their final names, or go too. */
  targets: 'keep' | 'delete';
  /** Nothing is deleted that is none of theirs; null: whoever has it. */
  owners: string[] | null;
}
/** `kept`: another run has adopted it. */
export interface ReservationEnd {
  outcome: 'removed' | 'kept';
  deleted: string[];
  regainedBytes: number;
}

/** Activities of the host agent on images. */
export interface ImageHostActivities {
  observeImagePlan(request: PlanRequest): Promise<ImagePlanOutcome>;
  ensureImageHeld(job: ImageJob): Promise<HoldOutcome>;
  /** Of a volume that is converted: the empty image that its copy is written into. */
  ensureVolumeCreated(job: VolumeJob): Promise<{ outcome: 'created' } | CopyFailure>;
  ensureVolumeCopied(
    job: VolumeJob & { bandwidthBytesPerSecond: number; verify: 'full' | 'none' },
  ): Promise<CopyOutcome>;
  ensureVolumeVerified(job: VolumeJob): Promise<{ same: boolean; reason: string }>;
  ensureBackingNames(job: ImageJob): Promise<void>;
  ensureCopyBandwidth(input: { jobId: string; bandwidthBytesPerSecond: number }): Promise<void>;
  ensureRecordSwitched(
    job: ImageJob,
  ): Promise<{ outcome: 'switched' } | { outcome: 'not-switched' | 'pool-away'; reason: string }>;
  /** Until the target pool holds the reservation again, or one sees that it does not. */
  awaitPool(input: AwaitedPool): Promise<void>;
  ensureImageReleased(input: { jobId: string }): Promise<void>;
  /** Of every job that earlier runs of this image's operations have reserved for, in any pool. */
  ensureEarlierReleased(input: { image: ImageRef }): Promise<void>;
  observeRemovalPlan(input: RemoveImageInput): Promise<RemovalPlan>;
  /** Asked by an operation of another host. */
  observeUses(input: { volumes: NamedVolume[] }): Promise<VolumeUse[]>;
  /** The active pools of the host, and who may change what is in them. */
  observeLeases(input: object): Promise<PoolLease[]>;
}

/** Activities of the SPM agent of a pool on images. */
export interface ImageStorageActivities {
  /** `gone`: the reservation that was to be adopted is being deleted. */
  ensureImageReserved(input: Reservation): Promise<{ outcome: 'reserved' | 'gone' }>;
  ensureImageNamed(
    job: ImageJob,
  ): Promise<{ outcome: 'named' } | { outcome: 'taken'; path: string }>;
  ensureReservationAbsent(input: UnwantedReservation): Promise<ReservationEnd>;
  /** Tells what was not overwritten, or may not have been. */
  ensureVolumesWiped(input: {
    jobId: string;
    volumes: NamedVolume[];
  }): Promise<{ warnings: string[] }>;
}

export type ImageOperationName = 'MoveImage' | 'CopyImage' | 'RemoveImage';
export type ImagePhase =
  Phase | 'reserving' | 'waiting for the pool' | 'verifying' | 'naming' | 'switching' | 'wiping';

/** Answer of the `status` query: that of a merge, with an image's phases. */
export interface ImageStatus extends Omit<OperationStatus, 'operation' | 'phase' | 'mode'> {
  operation: ImageOperationName;
  phase: ImagePhase;
  mode: null;
}
export const imageStatusQuery = defineQuery<ImageStatus>('status');
