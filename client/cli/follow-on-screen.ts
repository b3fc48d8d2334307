/** Follows an operation until it ends or the person at the terminal has seen enough. */
import type { OperationResult } from '../../workflows/kinds.ts';
import type { Operation } from '../library/operation.ts';
import { typed } from '../../workflows/operation/names.ts';
import type { Screen } from './screen.ts';
import { openDisplay } from './show-progress.ts';

/** What a shell reports for a command that ^C ended. */
export const INTERRUPTED = 130;
const LEAVING = ['SIGINT', 'SIGTERM'] as const;

/**
 * @param quiet shows nothing, for `--json`
 * @returns null when SIGINT ended the following: the operation itself goes on.
 * @throws BlockflowError when the operation did not succeed
 */
export async function followOnScreen<R extends OperationResult>(
  screen: Screen,
  operation: Operation<R>,
  quiet = false,
): Promise<R | null> {
  const stop = new AbortController();
  const leave = () => stop.abort();
  for (const signal of LEAVING) process.once(signal, leave);
  const display = quiet ? null : await openDisplay(screen, operation.id);
  try {
    for await (const view of operation.progress({ signal: stop.signal })) {
      if (view.state === 'running' && view.status?.phase !== 'finished') display?.show(view);
    }
    if (!stop.signal.aborted) return await operation.result();
  } finally {
    display?.stop();
    for (const signal of LEAVING) process.removeListener(signal, leave);
  }
  const { id } = operation;
  screen.tell(
    `${id} goes on. Follow it: blockflow status --follow ${typed(id)}. ` +
      `End it: blockflow cancel ${typed(id)}`,
  );
  return null;
}
