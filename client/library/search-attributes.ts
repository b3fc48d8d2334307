/** What a client does about search attributes that its namespace does not know. */
import {
  missingSearchAttributes as findMissing,
  registerCommand,
  registerSearchAttributes as register,
} from '../../worker/environment/search-attributes.ts';
import { BlockflowError } from './failure.ts';
import { call, type Session } from './session.ts';

export { registerCommand };

const TIMEOUT_MS = 10_000;

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
