/**
 * Attempts at activities that an agent has taken, as files of its runtime folder. What a killed
 * agent leaves there is given back by the one that starts in its place: the server then repeats it
 * at once, and not when a heartbeat has been missing for seconds.
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { ApplicationFailure } from '@temporalio/common';
import { AsyncCompletionClient } from '@temporalio/client';
import type { ActivityInterceptorsFactory } from '@temporalio/worker';
import type { RoleContext } from './role.ts';

/**
 * Gives back what agents of this name that have ended have left.
 * @returns what notes the attempts of this one
 */
export async function keepAttempts(
  context: RoleContext,
  role: string,
): Promise<ActivityInterceptorsFactory> {
  const all = join(context.config.runtimeDir, 'attempts');
  const own = join(all, `${role}-${process.pid}-${await startTime(process.pid)}`);
  await mkdir(own, { recursive: true });
  for (const name of await readdir(all)) {
    const [, pid, started] = new RegExp(`^${role}-(\\d+)-(\\d+)$`).exec(name) ?? [];
    if (pid === undefined || (await startTime(Number(pid))) === started) continue;
    await giveBack(context, join(all, name));
  }
  return ({ info: { taskToken } }) => ({
    inbound: {
      async execute(input, next) {
        const file = join(own, createHash('sha256').update(taskToken).digest('hex'));
        // Beside the work: without the file a restart costs seconds, nothing else.
        const noted = writeFile(file, taskToken).catch(() => undefined);
        try {
          return await next(input);
        } finally {
          await noted;
          await rm(file, { force: true }).catch(() => undefined);
        }
      },
    },
  });
}

/** The server takes 0 for no wish. */
const AT_ONCE = '1ms';

/** Of a process, in clock ticks since the boot; null when there is none. Field 22 of proc(5). */
async function startTime(pid: number): Promise<string | null> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
}

async function giveBack(context: RoleContext, folder: string): Promise<void> {
  const { connection, namespace } = context;
  const client = new AsyncCompletionClient({ connection, namespace });
  const failure = ApplicationFailure.create({
    message: 'its agent has ended; another one is started',
    // The work has not failed: no wait that grows with each restart.
    nextRetryDelay: AT_ONCE,
  });
  // Another agent that starts may have been first.
  const files = await readdir(folder).catch(() => []);
  for (const name of files) {
    const token = await readFile(join(folder, name)).catch(() => null);
    // One that the server has given up by itself is not found there.
    if (token) await client.fail(token, failure).catch(() => undefined);
  }
  await rm(folder, { recursive: true, force: true });
  const left = { attempts: files.length, agent: basename(folder) };
  if (files.length > 0)
    context.log.info(left, 'attempts of an agent that has ended are given back');
}
