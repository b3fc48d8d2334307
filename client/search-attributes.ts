/**
 * The attributes by which operations are listed must be known to the namespace before one is
 * started.
 */
import { searchAttributes } from '../workflows/contract.ts';
import { BlockflowError } from './client-failure.ts';
import { call, type Session } from './session.ts';

const KEYWORD = 2;
const TIMEOUT_MS = 10_000;
const names = Object.values(searchAttributes).map(({ name }) => name);

/** Names that the namespace does not know. */
export async function missingSearchAttributes(session: Session): Promise<string[]> {
  const { connection, namespace } = session;
  const { customAttributes } = await call(session, 'listing search attributes', TIMEOUT_MS, () =>
    connection.operatorService.listSearchAttributes({ namespace }),
  );
  return names.filter((name) => !(name in (customAttributes ?? {})));
}

/** The command that an administrator would type. */
export const registerCommand = (namespace: string, missing: readonly string[]) =>
  `temporal operator search-attribute create --namespace ${namespace} ${missing
    .map((name) => `--name ${name} --type Keyword`)
    .join(' ')}`;

/**
 * Registers what is missing.
 * @param refusal why the server did not take the request; thrown again when nothing is missing.
 * @throws BlockflowError with the command to type when this client may not register them.
 */
export async function registerSearchAttributes(session: Session, refusal: unknown): Promise<void> {
  const { connection, namespace } = session;
  const missing = await missingSearchAttributes(session).catch(() => names);
  if (missing.length === 0) throw refusal;
  const wanted = Object.fromEntries(missing.map((name) => [name, KEYWORD]));
  try {
    await call(session, 'registering search attributes', TIMEOUT_MS, () =>
      connection.operatorService.addSearchAttributes({ namespace, searchAttributes: wanted }),
    );
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
