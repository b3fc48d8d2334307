/** How long a copy waits for an agent that was killed and is started again at once. */
import type { System } from '../support/host/system.ts';
import { startScene } from '../support/scenes/merge-scene.ts';
import { SLOW, untilCopying } from '../support/scenes/copying.ts';
import { waitUntil } from '../support/wait-until.ts';
import { median, ms, percentile, type Row } from './figures.ts';

const GOAL_MS = 1000;

export async function restartedAgent(quick: boolean): Promise<Row[]> {
  const scene = await startScene({ onDisk: true });
  const { system, guest } = scene;
  const fromStart: number[] = [];
  const fromReady: number[] = [];
  try {
    const limit = { bandwidthBytesPerSecond: SLOW };
    const merge = await system.merge({ vm: guest.name, disk: 'vda', ...limit });
    await untilCopying(scene);
    for (let i = 0; i < (quick ? 3 : 15); i++) {
      const attempt = await attemptOf(merge);
      await system.killRole('host');
      const start = performance.now();
      await system.startRole('host');
      const ready = performance.now();
      await goesOn(merge, system, attempt);
      fromStart.push(performance.now() - start);
      fromReady.push(performance.now() - ready);
    }
    await merge.executeUpdate('bandwidth', { args: [0] });
    await merge.result();
  } finally {
    await scene.close();
  }
  const p99 = percentile(fromStart, 99);
  return [
    {
      what: 'an agent killed in the copy and started at once: until the copy is watched again',
      measured:
        `median ${ms(median(fromStart))}, p99 ${ms(p99)} since its process was started ` +
        `(${ms(median(fromReady))} since it was ready), n=${fromStart.length}`,
      goal: `p99 at most ${GOAL_MS} ms`,
      met: p99 <= GOAL_MS,
    },
  ];
}

type Merge = Awaited<ReturnType<System['merge']>>;

/** Of the activity that watches the copy; undefined when the server has none that has started. */
async function startedAttempt(merge: Merge) {
  const { raw } = await merge.describe();
  const watching = raw.pendingActivities?.find(
    ({ activityType }) => activityType?.name === 'awaitCommitReady',
  );
  // Of PendingActivityState: it has started.
  if (watching === undefined || Number(watching.state) !== 2) return undefined;
  const { attempt, lastWorkerIdentity: by, lastHeartbeatTime } = watching;
  // To the millisecond: the attempt before may have told in the second in which this one began.
  const hasTold = msOf(lastHeartbeatTime) > msOf(watching.lastStartedTime);
  return { attempt: attempt ?? 0, by, hasTold };
}

type Time = { seconds?: unknown; nanos?: number | null } | null | undefined;
const msOf = (time: Time) => Number(time?.seconds ?? 0) * 1e3 + (time?.nanos ?? 0) / 1e6;

/** Of one that has told of the copy: what is not noted yet waits for the heartbeat time-out. */
async function attemptOf(merge: Merge): Promise<number> {
  const look = async () => {
    const started = await startedAttempt(merge);
    return started?.hasTold && started;
  };
  return (await waitUntil('the activity that watches', look)).attempt;
}

async function goesOn(merge: Merge, system: System, after: number): Promise<void> {
  const pid = `:${system.rolePid('host')}`;
  const look = async () => {
    const started = await startedAttempt(merge);
    return started && started.attempt > after && Boolean(started.by?.endsWith(pid));
  };
  await waitUntil('the next attempt', look, { intervalMs: 10 });
}
