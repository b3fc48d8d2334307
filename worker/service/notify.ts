/**
 * Tells systemd that this process is ready, and while it runs that it is alive: a timer of the
 * event loop, so a loop that hangs is ended and started again. By `systemd-notify`, because Node
 * has no datagram sockets of Unix; without systemd nothing is told.
 */
import { execa } from 'execa';
import { childEnvironment } from '../../activities/adapters/process/environment.ts';

/** @returns what ends the messages of life, and says that the end has begun */
export async function tellReady(env = process.env): Promise<() => Promise<void>> {
  const { NOTIFY_SOCKET, WATCHDOG_USEC = '0' } = env;
  if (!NOTIFY_SOCKET) return () => Promise.resolve();
  // systemd that does not hear it acts by its own limits.
  const own = { env: childEnvironment({ NOTIFY_SOCKET }), extendEnv: false };
  const options = { reject: false, timeout: 10_000, ...own } as const;
  const notify = async (...words: string[]) => {
    await execa('systemd-notify', words, options);
  };
  await notify('READY=1', `MAINPID=${process.pid}`);
  const everyMs = Number(WATCHDOG_USEC) / 3000;
  const timer = everyMs > 0 ? setInterval(() => void notify('WATCHDOG=1'), everyMs) : undefined;
  return async () => {
    clearInterval(timer);
    await notify('STOPPING=1');
  };
}
