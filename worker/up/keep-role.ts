/** A role of `blockflow up` that ends by itself is started again, but not without end. */
import type { Logger } from 'pino';
import type { Role } from '../roles/role.ts';

/** So many restarts in so long are a lasting fault: `up` then ends with it, and says why. */
const LIMIT = { restarts: 5, withinMs: 60_000, pauseMs: 1000 };

/**
 * Starts the role, and again each time it ends without having been stopped. `done` resolves when it
 * was stopped, and rejects with its last error when it has ended too often.
 * @throws the error of the first start
 */
export async function keepRole(
  start: () => Promise<Role>,
  log: Pick<Logger, 'error'>,
  limit = LIMIT,
): Promise<Role> {
  let role = await start();
  let isStopping = false;
  const ends: number[] = [];
  const keep = async () => {
    for (;;) {
      const error = await role.done.then(
        () => new Error(`${role.name} has ended by itself`),
        (reason: unknown) => reason,
      );
      if (isStopping) return;
      ends.push(Date.now());
      if (ends.length > limit.restarts) ends.shift();
      const isOften =
        ends.length === limit.restarts && Date.now() - (ends[0] ?? 0) < limit.withinMs;
      if (isOften) throw error;
      log.error({ role: role.name, error: String(error) }, 'a role ended; it is started again');
      await new Promise((next) => setTimeout(next, limit.pauseMs));
      if (isStopping) return;
      role = await start().catch((reason: Error) => failed(role.name, reason));
      // Asked to stop while it started.
      if (isStopping) return role.stop();
    }
  };
  const done = keep();
  done.catch(() => undefined);
  return {
    name: role.name,
    done,
    async stop() {
      isStopping = true;
      await role.stop();
      await done;
    },
  };
}

/** A start that failed counts as an end. */
const failed = (name: string, error: Error): Role => {
  const done = Promise.reject(error);
  done.catch(() => undefined);
  return { name, done, stop: () => Promise.resolve() };
};
