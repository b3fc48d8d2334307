/**
 * What only a newer orchestrator asks for: a field or a step that this agent does not have. It may
 * change what is to be done, so it is not left out; nothing is done until the agent is updated.
 */
import { Context } from '@temporalio/activity';
import type { z } from 'zod';
import { retry } from '../../workflows/operation/failures.ts';

export const agentTooOld = (step: string, lacks: string) =>
  retry('agent-too-old', {
    attempted: `step ${step}`,
    now: `the agent is older than the orchestrator: it does not know ${lacks}, and did nothing`,
    next: 'Update blockflow on its host: the step is tried again, and the operation goes on',
  });

/** Served under the name of Temporal for steps that an agent does not have. */
export const unknownStep = {
  default: () => {
    throw agentTooOld(Context.current().info.activityType, 'that step');
  },
};

type Issue = z.core.$ZodIssue;

/** @returns the fields that are unknown, when nothing else is wrong; else null */
export function unknownFields(issues: readonly Issue[]): string[] | null {
  const found = issues.map((issue) => {
    const within = (field: string) => [...issue.path, field].join('.');
    if (issue.code === 'unrecognized_keys') return issue.keys.map(within);
    if (issue.code !== 'invalid_union') return null;
    // One of its forms fits but for those.
    return (
      issue.errors
        .map(unknownFields)
        .find((fields) => fields !== null)
        ?.map(within) ?? null
    );
  });
  return found.every((fields) => fields !== null) ? found.flat() : null;
}
