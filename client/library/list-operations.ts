/** The list of operations, as Temporal's visibility store has it: a second behind. */
import { searchAttributes, STUCK } from '../../workflows/operation/contract.ts';
import { kindNames } from '../../workflows/kinds.ts';
import { stateOf, type OperationState } from './operation-view.ts';
import { call, type Session } from './session.ts';

export interface OperationSummary {
  id: string;
  runId: string;
  operation: string;
  vm: string;
  disk: string;
  host: string;
  state: OperationState;
  /** The last phase written to the list, coarser than that of `status`. */
  phase: string;
  /** How it ended (merged, kept, refused ...), null while it runs. */
  outcome: string | null;
  /** ISO 8601. */
  startedAt: string;
  endedAt: string | null;
}

export interface ListFilter {
  /** Exactly this one's runs. */
  id?: string;
  vm?: string;
  disk?: string;
  state?: 'running' | 'ended';
  /** Only those that run and need a person: what they do has not succeeded for 15 minutes. */
  stuck?: boolean;
  /** Only operations that started at this time or later. */
  since?: Date;
  /** At most so many, the newest first; 100 by default. */
  limit?: number;
}

const TIMEOUT_MS = 10_000;

export async function listOperations(
  session: Session,
  filter: ListFilter = {},
): Promise<OperationSummary[]> {
  const { limit = 100 } = filter;
  const found: OperationSummary[] = [];
  await call(session, 'listing operations', TIMEOUT_MS, async () => {
    const listing = session.client.workflow.list({ query: queryOf(filter), pageSize: limit });
    for await (const info of listing) {
      const of = (name: keyof typeof searchAttributes) =>
        info.typedSearchAttributes.get(searchAttributes[name]) ?? null;
      const [vm = '', disk = ''] = info.workflowId.split('/');
      found.push({
        id: info.workflowId,
        runId: info.runId,
        operation: info.type,
        vm: of('vm') ?? vm,
        disk: of('disk') ?? disk,
        host: of('host') ?? '',
        state: stateOf(info.status.name),
        phase: of('phase') ?? '',
        outcome: of('outcome'),
        startedAt: info.startTime.toISOString(),
        endedAt: info.closeTime?.toISOString() ?? null,
      });
      if (found.length >= limit) break;
    }
  });
  return found;
}

const quoted = (text: string) => `"${text.replaceAll(/["\\]/g, '\\$&')}"`;

/**
 * By workflow id where there is one, so that operations without search attributes are found too;
 * with an image's come those of what was left of it, whose ids are longer.
 */
function queryOf({ id, vm, disk, state, stuck, since }: ListFilter): string {
  const name = vm === undefined || disk === undefined ? vm : `${vm}/${disk}`;
  const is = (whole: string) => `WorkflowId = ${quoted(whole)}`;
  const below = (part: string) => `WorkflowId STARTS_WITH ${quoted(`${part}/`)}`;
  return [
    `WorkflowType IN (${kindNames.map(quoted).join(', ')})`,
    ...(id === undefined ? [] : [is(id)]),
    ...(name === undefined ? [] : [`(${is(name)} OR ${below(name)})`]),
    ...(state === 'running' ? ['ExecutionStatus = "Running"'] : []),
    ...(state === 'ended' ? ['ExecutionStatus != "Running"'] : []),
    ...(stuck
      ? [`ExecutionStatus = "Running" AND ${searchAttributes.phase.name} = "${STUCK}"`]
      : []),
    ...(since ? [`StartTime >= "${since.toISOString()}"`] : []),
  ].join(' AND ');
}
