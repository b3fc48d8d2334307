/** What a command does with the operation that it has started, whatever its kind. */
import type { OperationResult } from '../../../workflows/kinds.ts';
import { typed } from '../../../workflows/operation/names.ts';
import type { Operation } from '../../library/operation.ts';
import type { Screen } from '../screen.ts';
import { printJson } from './command.ts';

interface Options {
  detach?: true;
  json?: true;
}

/** Returns at once with `--detach`, else follows it to its end. @returns the exit code */
export async function followStarted(
  screen: Screen,
  operation: Operation<OperationResult>,
  options: Options,
): Promise<number> {
  const { id, runId, attached } = operation;
  if (options.detach) {
    if (options.json) printJson(screen, { outcome: 'started', id, runId, attached });
    else {
      const state = attached ? 'runs already' : 'has started';
      screen.print(`${id} ${state}: blockflow status ${typed(id)}`);
    }
    return 0;
  }
  if (attached && !options.json) screen.tell(`${id}: this request runs already, following it`);
  return followToEnd(screen, operation, options);
}

/** Follows it to its end and prints what it has done. @returns the exit code */
export async function followToEnd(
  screen: Screen,
  operation: Operation<OperationResult>,
  { json }: Pick<Options, 'json'>,
): Promise<number> {
  const { id, runId, kind } = operation;
  const { followOnScreen, INTERRUPTED } = await import('../follow-on-screen.ts');
  const result = await followOnScreen(screen, operation, json);
  if (!result) return INTERRUPTED;
  const { endLines } = await import('../render/by-kind.ts');
  if (json) printJson(screen, { ...result, id, runId, exitCode: 0 });
  else for (const line of endLines(kind, result, screen.paint)) screen.print(line);
  return 0;
}
