/** Which agents serve a queue, as the Temporal server saw them poll. */
import { call, type Session } from './session.ts';

export interface Poller {
  /** `role@host:pid`. */
  identity: string;
  lastPoll: Date;
}

const KIND = { workflow: 1, activity: 2 } as const;
const TIMEOUT_MS = 3000;

/**
 * Pollers of the last five minutes, the latest first; an agent that was killed is still among them.
 */
export async function pollersOf(
  session: Session,
  queue: string,
  kind: keyof typeof KIND,
): Promise<Poller[]> {
  const { namespace, connection } = session;
  const answer = await call(session, `asking who serves ${queue}`, TIMEOUT_MS, () =>
    connection.workflowService.describeTaskQueue({
      namespace,
      taskQueue: { name: queue },
      taskQueueType: KIND[kind],
    }),
  );
  return (answer.pollers ?? [])
    .map(({ identity, lastAccessTime }) => ({
      identity: identity ?? '',
      lastPoll: new Date(Number(lastAccessTime?.seconds ?? 0) * 1000),
    }))
    .sort((a, b) => b.lastPoll.getTime() - a.lastPoll.getTime());
}

/** A poll lasts up to a minute, so an agent that lives was seen since then. */
const SEEN_WITHIN_MS = 90_000;

/** True when the latest of these pollers may well be there still. */
export const isAlive = ([latest]: readonly Poller[], nowMs = Date.now()) =>
  latest !== undefined && nowMs - latest.lastPoll.getTime() <= SEEN_WITHIN_MS;

/** When a worker last polled the queue; null when the server knows of none. */
export async function lastPoll(session: Session, queue: string, kind: keyof typeof KIND) {
  return (await pollersOf(session, queue, kind))[0]?.lastPoll ?? null;
}
