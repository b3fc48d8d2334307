/** Requests as a client asks for them, made whole before they are sent. */
import { z } from 'zod';
import type { LiveMergeRequest } from '../../workflows/merge/request.ts';
import type { AnyKind, KindRequest } from '../../workflows/operation/kind.ts';
import type { RemoveImageRequest } from '../../workflows/removal/request.ts';
import type { CreateSnapshotRequest } from '../../workflows/snapshot/create/request.ts';
import type { DeleteSnapshotRequest } from '../../workflows/snapshot/delete/request.ts';
import type { RevertSnapshotRequest } from '../../workflows/snapshot/revert/request.ts';
import type { MoveDisksRequest } from '../../workflows/transfer/disks/request.ts';
import type { CopyImageRequest, MoveImageRequest } from '../../workflows/transfer/request.ts';
import { usage } from './failure.ts';
import { requester } from './requester.ts';
import type { Session } from './session.ts';

type WithHost<T> = Omit<T, 'host'> & { host?: string };
/** Without a host it is the session's. */
export type MergeRequest = WithHost<LiveMergeRequest>;
export type MoveRequest = WithHost<MoveImageRequest>;
export type DisksRequest = WithHost<MoveDisksRequest>;
export type CopyRequest = WithHost<CopyImageRequest>;
export type SnapshotRequest = WithHost<CreateSnapshotRequest>;
export type DeletionRequest = WithHost<DeleteSnapshotRequest>;
export type RevertRequest = WithHost<RevertSnapshotRequest>;
export type RemoveRequest = WithHost<Omit<RemoveImageRequest, 'left'>>;

/** @throws BlockflowError Usage for a request that cannot be understood. */
export function completeRequest<K extends AnyKind>(
  session: Session,
  kind: K,
  request: object,
): KindRequest<K> {
  const whole = { host: session.host, requestedBy: requester(), ...request };
  const schema: z.core.$ZodType = kind.request as z.core.$ZodType;
  const { success, data, error } = z.safeParse(schema, whole);
  if (success) return data as KindRequest<K>;
  const command = String(kind.command);
  throw usage(`blockflow ${command}`, inWords(error), `See \`blockflow ${command} --help\``);
}

/** What zod says of a value, in one line a fault. */
export const inWords = (error: z.core.$ZodError): string =>
  z
    .prettifyError(error)
    .replaceAll('✖ ', '')
    .replaceAll(/\n\s*→ /g, ' ');
