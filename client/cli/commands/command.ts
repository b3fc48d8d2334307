/** What the commands share: their context, and the way they get a client. */
import type { Command } from 'commander';
import type { Blockflow } from '../../library/connect-blockflow.ts';
import type { Screen } from '../screen.ts';

export interface Context {
  screen: Screen;
  /** Runs a command's body and keeps the exit code it returns. */
  run(body: () => Promise<number>): Promise<void>;
}

/** Adds one command to the program. Heavy modules are imported when the command runs, not here. */
export type DefineCommand = (program: Command, context: Context) => void;

/** Connects, and closes the connection whatever happens. */
export async function withBlockflow<T>(
  options: { host?: string },
  body: (blockflow: Blockflow) => Promise<T>,
): Promise<T> {
  const { connectBlockflow } = await import('../../library/connect-blockflow.ts');
  const blockflow = await connectBlockflow(
    options.host === undefined ? {} : { host: options.host },
  );
  try {
    return await body(blockflow);
  } finally {
    await blockflow.close();
  }
}

export const HOST_OPTION = ['--host <name>', 'host of the VM, as its agent is called'] as const;
/** What `--converge` does, of commands whose job ends with a pivot. */
export const CONVERGE_OPTION = [
  '--converge',
  'if the guest outruns the job: raise the limit, then suspend the guest for what is left',
] as const;
export const MAX_PAUSE_OPTION = [
  '--max-pause <time>',
  'longest suspension of the guest for what the job has left (default: 200ms)',
] as const;

export const JSON_OPTION = ['--json', 'print exactly one JSON document'] as const;

export const printJson = (screen: Screen, document: unknown) =>
  screen.print(JSON.stringify(document, null, 2));
