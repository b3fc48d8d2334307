/**
 * A workflow's own look at its request, before anything else: the Web UI and Temporal's command
 * line start workflows too, with whatever somebody types.
 */
import { workflowInfo } from '@temporalio/workflow';
import { operationId, type AuditFilter } from './contract.ts';
import { refused } from './failures.ts';
import type { CopyImageInput, MoveImageInput, RemoveImageInput } from '../transfer/schemas.ts';
import { imageId, removalId, type PlanRequest } from '../transfer/activities.ts';
import {
  copyShape,
  diskShape,
  eventsShape,
  faultsOf,
  hostShape,
  isObject,
  mergeShape,
  moveShape,
  planShape,
  quoted,
  removeShape,
  withDefaults,
  type Shape,
} from './request-shapes.ts';
import type { DiskRef, LiveMergeInput } from '../chain/schemas.ts';
import { UnreadableValue } from './unreadable-value.ts';

/** The request with its defaults. @throws Refused `invalid-request`; nothing was done */
function complete<T>(shape: Shape, value: unknown): T {
  if (value instanceof UnreadableValue) throw invalid(`it cannot be read: ${quoted(value.reason)}`);
  const faults = faultsOf(shape, value);
  if (faults.length > 0) throw invalid(faults.slice(0, 20).join('; '));
  return withDefaults(shape, value) as T;
}

const invalid = (why: string) =>
  refused('invalid-request', {
    attempted: `reading the request of ${workflowInfo().workflowType}`,
    now: `${why}; nothing was done`,
    next: 'Start it with the `blockflow` command, whose --help has every option',
  });

/** The id is the lock of the image: under another one, two operations could change it at once. */
function assertId(id: string): void {
  if (workflowInfo().workflowId !== id) throw invalid(`its workflow id must be ${id}`);
}

export function mergeRequest(value: unknown): LiveMergeInput {
  const input = complete<LiveMergeInput>(mergeShape, value);
  assertId(operationId(input));
  return input;
}

export function moveRequest(value: unknown): MoveImageInput {
  const input = complete<MoveImageInput>(moveShape, value);
  assertId(imageId(input.image));
  return input;
}

export function copyRequest(value: unknown): CopyImageInput {
  const input = complete<CopyImageInput>(copyShape, value);
  assertId(imageId(input.image));
  return input;
}

export function removeRequest(value: unknown): RemoveImageInput {
  const input = complete<RemoveImageInput>(removeShape(value), value);
  assertId(removalId(input));
  return input;
}

/** Those that only look need no lock, so their id is free. */
export const diskQuestion = (value: unknown) => complete<DiskRef>(diskShape, value);
export const mergeQuestion = (value: unknown) => complete<LiveMergeInput>(mergeShape, value);
export const removalQuestion = (value: unknown) =>
  complete<RemoveImageInput>(removeShape(value), value);
export const eventsQuestion = (value: unknown) => complete<AuditFilter>(eventsShape, value);
export const hostQuestion = (value: unknown) => complete<{ host: string }>(hostShape, value);
export const imageQuestion = (value: unknown) =>
  complete<PlanRequest>(planShape(isObject(value) ? value['operation'] : null), value);
