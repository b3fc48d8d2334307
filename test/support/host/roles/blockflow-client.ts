/** The client library, as a user of a test's system has it. */
import { connectBlockflow, type Blockflow, type TransferResult } from '../../../../client/index.ts';
import { HOST, type System } from '../system.ts';

export const connectTo = ({ temporal, namespace, stateDir }: System): Promise<Blockflow> =>
  connectBlockflow({ address: temporal.address, namespace, host: HOST, stateDir });

/** Waits until the source of a move is deleted; the move itself does not wait for that. */
export async function awaitRemoval(
  blockflow: Blockflow,
  { removal }: TransferResult,
): Promise<void> {
  const [pool = '', ...name] = (removal ?? '').split('/');
  await (await blockflow.operation(pool, name.join('/'))).result();
}
