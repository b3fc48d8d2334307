import { removeImageResult, transferResult } from '../../workflows/transfer/schemas.ts';
import { liveMergeResult } from '../../workflows/chain/schemas.ts';
import type { OperationResult } from './operation.ts';

/** The shape of a workflow's result, by its type. */
export function resultSchemaOf(type: string): { parse(value: unknown): OperationResult } {
  if (type === 'MoveImage' || type === 'CopyImage') return transferResult;
  return type === 'RemoveImage' ? removeImageResult : liveMergeResult;
}
