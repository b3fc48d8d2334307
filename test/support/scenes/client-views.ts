/** Views of operations and a screen that remembers, for tests of the command line. */
import type { OperationView } from '../../../client/library/operation-view.ts';
import type { Screen } from '../../../client/cli/screen.ts';
import type { MergeStatus } from '../../../workflows/merge/kind.ts';

const status: MergeStatus = {
  operation: 'LiveMerge',
  vm: 'web1',
  disk: 'vda',
  host: 'h1',
  phase: 'planning',
  since: '2026-01-01T00:00:00.000Z',
  cancel: { possible: true, meaning: 'the chain stays' },
  away: null,
  stuck: null,
  note: null,
  mode: null,
  jobId: null,
  chainBefore: [],
  chainTarget: [],
  committedBytes: 0,
  bandwidthBytesPerSecond: 0,
};

/**
 * A running merge, or another operation by its name; `changes` of its status, null when the
 * orchestrator does not answer.
 */
export function viewOf(
  changes: Record<string, unknown> | null,
  more: Partial<OperationView> = {},
): OperationView {
  return {
    id: 'web1/vda',
    runId: '0',
    kind: 'LiveMerge',
    state: 'running',
    startedAt: '2026-01-01T00:00:00.000Z',
    endedAt: null,
    status: changes && { ...status, ...changes },
    progress: null,
    outcome: null,
    parts: [],
    troubles: [],
    ...more,
  };
}

export function createScreen(): { screen: Screen; printed: string[]; told: string[] } {
  const printed: string[] = [];
  const told: string[] = [];
  const screen: Screen = {
    isTerminal: false,
    print: (line) => void printed.push(...line.split('\n')),
    tell: (line) => void told.push(...line.split('\n')),
    paint: (_, text) => text,
  };
  return { screen, printed, told };
}
