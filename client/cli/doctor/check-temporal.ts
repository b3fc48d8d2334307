import {
  hostQueue,
  ORCHESTRATOR_QUEUE,
  spmQueue,
  type InPool,
} from '../../../workflows/operation/contract.ts';
import { defaultHost, stateDir } from '../../../worker/environment/config.ts';
import { temporalConfig } from '../../../worker/environment/temporal-config.ts';
import { isAlive, pollersOf, type Poller } from '../../library/pollers.ts';
import { missingSearchAttributes, registerCommand } from '../../library/search-attributes.ts';
import { BlockflowError } from '../../library/failure.ts';
import { call, openSession, type Session } from '../../library/session.ts';
import { checker, wordsOf, type Check } from '../../../worker/doctor/check.ts';

const temporal = checker('temporal');
const agents = checker('agents');

/**
 * Temporal, its namespace, and the agents that should poll.
 * @param pools that an SPM agent should serve.
 */
export async function checkTemporal(host: string | undefined, pools: InPool[]): Promise<Check[]> {
  let session: Session;
  try {
    session = await openSession(host === undefined ? {} : { host });
  } catch (error) {
    if (!(error instanceof BlockflowError)) throw error;
    const { attempted, now, next } = error.details;
    return [temporal.fails(`${attempted}: ${now} (${wordsOf(error.cause)})`, next)];
  }
  try {
    const served = await checkNamespace(session);
    if (served.some(({ state }) => state === 'fails')) return served;
    return [...served, await checkAttributes(session), ...(await checkAgents(session, pools))];
  } finally {
    await session.connection.close();
  }
}

async function checkNamespace(session: Session): Promise<Check[]> {
  const { connection, namespace, address } = session;
  const { source } = temporalConfig(stateDir());
  try {
    await call(session, 'describing the namespace', 5000, () =>
      connection.workflowService.describeNamespace({ namespace }),
    );
  } catch (error) {
    const fix = `temporal operator namespace create --namespace ${namespace} --address ${address}`;
    return [temporal.fails(`namespace ${namespace} at ${address}: ${wordsOf(error)}`, fix)];
  }
  const found = temporal.ok(`Temporal at ${address} (${source}), namespace ${namespace}`);
  if (source === 'blockflow up' || !(await isDevServer(session))) return [found];
  const hint = temporal.hint(
    'a dev server (`temporal server start-dev`) as it comes runs only ten activities a second',
    'start it with --dynamic-config-value history.transferProcessorMaxPollRPS=2000, ' +
      'and the same for history.timerProcessorMaxPollRPS',
  );
  return [found, hint];
}

/** By its database, where the server says which one it has. */
async function isDevServer(session: Session): Promise<boolean> {
  const { workflowService } = session.connection;
  const ask = () => workflowService.getClusterInfo({});
  const info = await call(session, 'asking the server what it is', 5000, ask).catch(() => null);
  return info?.persistenceStore === 'sqlite';
}

async function checkAttributes(session: Session): Promise<Check> {
  try {
    const missing = await missingSearchAttributes(session);
    if (missing.length === 0) return temporal.ok('search attributes are registered');
    const found = `search attributes are not registered: ${missing.join(', ')}`;
    return temporal.fails(found, registerCommand(session.namespace, missing));
  } catch (error) {
    const fix = 'ask the administrator of the Temporal server';
    return temporal.hint(`search attributes cannot be listed: ${wordsOf(error)}`, fix);
  }
}

async function checkAgents(session: Session, pools: InPool[]): Promise<Check[]> {
  const { host } = session;
  return Promise.all([
    checkAgent(session, ORCHESTRATOR_QUEUE, 'workflow', 'orchestrator', 'orchestrator'),
    checkAgent(
      session,
      hostQueue(host),
      'activity',
      `agent of host ${host}`,
      `host --host ${host}`,
    ),
    ...pools.map((pool) =>
      checkAgent(session, spmQueue(pool), 'activity', `SPM agent of pool ${pool.pool}`, 'spm'),
    ),
  ]);
}

async function checkAgent(
  session: Session,
  queue: string,
  kind: 'workflow' | 'activity',
  name: string,
  role: string,
): Promise<Check> {
  const fix = `start \`blockflow up\` or \`blockflow worker ${role}\``;
  const pollers = await pollersOf(session, queue, kind);
  const there = pollers.filter((poller) => !hasEnded(session, poller));
  const [latest] = [...there, ...pollers];
  if (!latest) return agents.fails(`no ${name} polls queue ${queue}`, fix);
  const seconds = Math.round((Date.now() - latest.lastPoll.getTime()) / 1000);
  const words = `${name}: ${latest.identity}, seen ${seconds} s ago`;
  if (isAlive(there)) return agents.ok(words);
  return agents.fails(there.length < pollers.length ? `${words}, has ended` : words, fix);
}

/** A process of this host: to the server it looks alive for as long as a poll lasts. */
function hasEnded({ host }: Session, { identity }: Poller): boolean {
  const [, name, pid = ''] = /@(.+):(\d+)$/.exec(identity) ?? [];
  if (name !== host || host !== defaultHost()) return false;
  try {
    process.kill(Number(pid), 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}
