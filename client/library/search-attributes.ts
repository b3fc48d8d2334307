/** What a client does about search attributes that its namespace does not know. */
import { setTimeout as sleep } from 'node:timers/promises';
import {
  missingSearchAttributes as findMissing,
  registerCommand,
  registerSearchAttributes as register,
} from '../../worker/environment/search-attributes.ts';
import { searchAttributes } from '../../workflows/operation/contract.ts';
import { BlockflowError } from './failure.ts';
import { call, grpcStatus, INVALID_ARGUMENT, type Session } from './session.ts';

export { registerCommand };

const TIMEOUT_MS = 10_000;
/** Each server of a cluster looks for new ones every two seconds. */
const KNOWN_MS = 8000;
const LOOK_MS = 100;
const query = Object.values(searchAttributes)
  .map(({ name }) => `${name} = ''`)
  .join(' AND ');

/** Names that the namespace does not know. */
export const missingSearchAttributes = (session: Session): Promise<string[]> =>
  call(session, 'listing search attributes', TIMEOUT_MS, () => findMissing(session));

/**
 * Registers what is missing, for a start that the server refused.
 * @throws BlockflowError with the command to type when this client may not register them.
 */
export async function registerSearchAttributes(session: Session): Promise<void> {
  const { namespace } = session;
  const missing = await missingSearchAttributes(session).catch(() => undefined);
  if (missing?.length === 0) return;
  try {
    await register(session, missing);
  } catch (error) {
    throw new BlockflowError(
      'Refused',
      {
        code: 'invalid-request',
        attempted: `registering search attributes in namespace ${namespace}`,
        now: `the server does not let this client do it (${String(error)}); nothing was started`,
        next: `Have an administrator run: ${registerCommand(namespace, missing)}`,
      },
      error,
    );
  }
}

/**
 * Waits until the server that this client reaches takes them, 8 s at most: what is registered by
 * one server of a cluster is refused by all of them for a while.
 */
export async function untilSearchAttributesAreKnown(session: Session): Promise<void> {
  const ask = () => session.client.workflow.count(query);
  const deadline = Date.now() + KNOWN_MS;
  for (;;) {
    try {
      await call(session, 'asking whether search attributes are known', TIMEOUT_MS, ask);
      return;
    } catch (error) {
      if (grpcStatus(error) !== INVALID_ARGUMENT) throw error;
      if (Date.now() > deadline) return;
    }
    await sleep(LOOK_MS);
  }
}
