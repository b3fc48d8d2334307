/**
 * The attributes by which operations are listed: the namespace must know them before the first
 * operation is started. Workers register them when they connect, clients when a start is refused.
 */
import type { ConnectionLike } from '@temporalio/client';
import type { Logger } from 'pino';
import { searchAttributes } from '../../workflows/operation/contract.ts';

/** A namespace, and a user who may ask for it. */
export interface Namespace {
  connection: Pick<ConnectionLike, 'operatorService' | 'withDeadline'>;
  namespace: string;
}

const KEYWORD = 2;
const TIMEOUT_MS = 10_000;
const names = Object.values(searchAttributes).map(({ name }) => name);

/** Names that the namespace does not know. */
export async function missingSearchAttributes(at: Namespace): Promise<string[]> {
  const { connection, namespace } = at;
  const { customAttributes } = await connection.withDeadline(Date.now() + TIMEOUT_MS, () =>
    connection.operatorService.listSearchAttributes({ namespace }),
  );
  return names.filter((name) => !(name in (customAttributes ?? {})));
}

/** The command that an administrator would type. */
export const registerCommand = (namespace: string, missing: readonly string[] = names) =>
  `temporal operator search-attribute create --namespace ${namespace} ${missing
    .map((name) => `--name ${name} --type Keyword`)
    .join(' ')}`;

/** Any number of workers and clients may do it at once. @throws why the server refuses it. */
export async function registerSearchAttributes(
  at: Namespace,
  missing: readonly string[] = names,
): Promise<void> {
  const { connection, namespace } = at;
  const wanted = Object.fromEntries(missing.map((name) => [name, KEYWORD]));
  try {
    await connection.withDeadline(Date.now() + TIMEOUT_MS, () =>
      connection.operatorService.addSearchAttributes({ namespace, searchAttributes: wanted }),
    );
  } catch (error) {
    // Refused for those that another worker has registered since they were found missing?
    const left = await missingSearchAttributes(at).catch(() => missing);
    if (left.length > 0) throw error;
  }
}

/**
 * Registers what is missing, or says which command does. A worker starts in any case: what runs
 * already needs it, and an administrator may be quicker than the next request.
 */
export async function ensureSearchAttributes(at: Namespace, log: Logger): Promise<void> {
  const { namespace } = at;
  let missing: string[] | undefined;
  try {
    missing = await missingSearchAttributes(at);
    if (missing.length === 0) return;
    await registerSearchAttributes(at, missing);
    log.info({ namespace, attributes: missing }, 'search attributes are registered');
  } catch (error) {
    const now = missing
      ? `namespace ${namespace} lacks search attributes, and this worker may not register them`
      : `this worker cannot see whether namespace ${namespace} has the search attributes`;
    const next = 'without them no operation starts. Have an administrator run:';
    const command = registerCommand(namespace, missing);
    log.warn({ error: String(error) }, `${now}; ${next} ${command}`);
  }
}
