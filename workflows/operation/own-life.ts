/**
 * How an operation starts another one that has a life of its own: shown and searched for as if a
 * client had started it, and never ended with its parent.
 */
import { ParentClosePolicy } from '@temporalio/workflow';
import { searchAttributes } from './contract.ts';
import type { AnyKind, CommonRequest } from './kind.ts';

interface Pages {
  staticSummary: string;
  staticDetails: string;
}

/** Options of `startChild`; the id is the lock of what it works on. */
export function ownLife<R extends CommonRequest>(kind: AnyKind, input: R, pages: Pages) {
  const { vm, disk } = kind.subject(input);
  return {
    workflowId: kind.id(input),
    args: [input] as [R],
    parentClosePolicy: ParentClosePolicy.ABANDON,
    ...pages,
    typedSearchAttributes: [
      { key: searchAttributes.vm, value: vm },
      { key: searchAttributes.disk, value: disk },
      { key: searchAttributes.host, value: input.host },
      { key: searchAttributes.operation, value: kind.type as string },
      { key: searchAttributes.phase, value: 'planning' },
    ],
  };
}
