/**
 * Whether another SPM agent serves a pool of the same id, and does not share its lease: a pool that
 * was copied, or is on the disk of a cloned machine, has the id of its original, so both agents
 * would serve one queue, and change and delete the files of the other one's operations.
 *
 * The holder of a lease polls a queue on which nothing is ever put, before it looks who else does.
 * So of two that begin at once, one at least sees the other.
 */
import type { NativeConnection } from '@temporalio/worker';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Lease } from '../../activities/pool-folder/lease.ts';
import { identityOf, type RoleContext } from './role.ts';

/** A poll lasts so long, so that an agent that lives is seen again within this time. */
const POLL_MS = 10_000;
const SEEN_AGAIN_WITHIN_MS = POLL_MS + 5000;
const LOOK_EVERY_MS = 250;
const ANSWER_MS = 5000;
/** In the API of Temporal. */
const ACTIVITY = 2;

const queueOf = (spmQueue: string) => `${spmQueue}-lease`;

/** A holder of a lease whom others can see. */
export interface Announced {
  /** The other agent that serves such a pool; null when there is none. */
  other: string | null;
  stop(): void;
}

/**
 * Polls until it is stopped or the lease is lost, and returns when no other can be there unseen.
 * @param before who held this very lease when it was asked for, and so shares it
 * @throws of the server
 */
export async function announceSpm(
  context: RoleContext,
  lease: Lease,
  spmQueue: string,
  { before, stop }: { before: string | null; stop: AbortSignal },
): Promise<Announced> {
  const queue = queueOf(spmQueue);
  const over = new AbortController();
  const earlier = await lastPolls(context, queue);
  void announce(context, lease, queue, over.signal);
  try {
    const other = await otherSpm(context, queue, { earlier, before, stop });
    return { other, stop: () => over.abort() };
  } catch (error) {
    over.abort();
    throw error;
  }
}

async function announce(
  context: RoleContext,
  lease: Lease,
  queue: string,
  stop: AbortSignal,
): Promise<void> {
  const { connection, namespace } = context;
  const poll = { namespace, taskQueue: { name: queue }, identity: identityOf(context, 'spm') };
  while (!stop.aborted) {
    // A pool that does not answer says nothing of its lease.
    if ((await lease.lossNow().catch(() => null)) !== null) return;
    const began = Date.now();
    await within(connection, POLL_MS, () =>
      connection.withAbortSignal(stop, () =>
        connection.workflowService.pollActivityTaskQueue(poll),
      ),
    ).catch(() => null);
    // An unavailable server answers at once.
    if (Date.now() - began < LOOK_EVERY_MS) await sleep(LOOK_EVERY_MS);
  }
}

const within = <T>(connection: NativeConnection, ms: number, ask: () => Promise<T>) =>
  connection.withDeadline(Date.now() + ms, ask);

/**
 * Who polls besides us, after ours was seen. The agents of this host do not count: of its pools it
 * knows the folders, and a lock works on one machine.
 */
async function otherSpm(
  context: RoleContext,
  queue: string,
  known: { earlier: Polls; before: string | null; stop: AbortSignal },
): Promise<string | null> {
  const { earlier, before, stop } = known;
  const own = identityOf(context, 'spm');
  const isOther = (identity: string) => hostOf(identity) !== hostOf(own) && identity !== before;
  const mayPollAgain = [...earlier.keys()].some(isOther);
  const deadline = Date.now() + SEEN_AGAIN_WITHIN_MS;
  while (!stop.aborted) {
    const seen = await lastPolls(context, queue);
    const hasPolled = (identity: string) => seen.get(identity) !== earlier.get(identity);
    const other = [...seen.keys()].find((identity) => isOther(identity) && hasPolled(identity));
    if (other !== undefined) return other;
    const isOver = Date.now() >= deadline;
    if (hasPolled(own) && (isOver || !mayPollAgain)) return null;
    if (isOver) throw new Error(`the Temporal server does not show that ${own} polls ${queue}`);
    await sleep(LOOK_EVERY_MS);
  }
  return null;
}

const hostOf = (identity: string) => /@(.+):\d+$/.exec(identity)?.[1];

/** When each one polled last, of the last five minutes, as the server's clock has it. */
type Polls = ReadonlyMap<string, string>;

async function lastPolls({ connection, namespace }: RoleContext, queue: string): Promise<Polls> {
  const asked = { namespace, taskQueue: { name: queue }, taskQueueType: ACTIVITY };
  const { pollers } = await within(connection, ANSWER_MS, () =>
    connection.workflowService.describeTaskQueue(asked),
  );
  return new Map(
    (pollers ?? []).map(({ identity, lastAccessTime: at }) => [
      identity ?? '',
      `${String(at?.seconds)}.${String(at?.nanos)}`,
    ]),
  );
}
