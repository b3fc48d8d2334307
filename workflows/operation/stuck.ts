/** What an operation tells of steps that have been tried for long without success. */
import { metricMeter } from '@temporalio/workflow';
import type { AgentListener } from './agents.ts';
import type { AuditEvent } from './audit/audit.ts';

/** An event, and what makes its id one of its own within the run. */
export type NamedEvent = Pick<AuditEvent, 'kind' | 'reason' | 'after'> & { name: string };
export type RecordAs = (event: NamedEvent) => Promise<void>;

/**
 * Nothing waits for the event: what is stuck is tried again meanwhile.
 * @param show told what is stuck, and with null that nothing is any more
 */
export function createStuck(
  show: (why: string | null) => void,
  recordAs: RecordAs,
): AgentListener['stuck'] {
  const steps = new Map<string, string>();
  let count = 0;
  return (step, why) => {
    const before = steps.get(step);
    if (why === null && before === undefined) return;
    if (why === null) steps.delete(step);
    else steps.set(step, `${step}: ${why}`);
    show(steps.size === 0 ? null : [...steps.values()].join('; '));
    if (why === null || before !== undefined) return;
    metricMeter.createCounter('blockflow_stuck', undefined, MEANING).add(1);
    const event = { kind: 'stuck', reason: `${step}: ${why}`, after: [] };
    // A cancel ends it, and the operation with it.
    recordAs({ ...event, name: `stuck-${++count}` }).catch(() => undefined);
  };
}

const MEANING = 'Steps that were tried for 15 minutes without success';
