/** Follows the merge with the product's own progress display, and kills the host agent half way. */
import type { LiveMergeResult, Operation, OperationView, Progress } from '../../client/index.ts';
import { openDisplay } from '../../client/cli/show-progress.ts';
import { DISK, VM, type Stage } from './stage.ts';
import type { Story } from './story.ts';

const HALF_WAY_PERCENT = 50;

export interface Followed {
  result: LiveMergeResult;
  /** Pids of the host agent: the killed one, and the one that went on. */
  killed: number | null;
  restarted: number | null;
  killedAtPercent: number;
  wentOn: boolean;
}

export async function followAndKill(
  story: Story,
  stage: Stage,
  operation: Operation,
): Promise<Followed> {
  const display = await openDisplay({ ...story.screen, print: story.more }, operation.id);
  const say = (text: string) => {
    display.stop();
    story.step(text);
  };
  const agent = createVictim(stage, say);
  try {
    for await (const view of operation.progress({ everyMs: 250 })) {
      const seen = await agent.look(view);
      if (seen.state === 'running') display.show(seen);
    }
    display.stop();
    await agent.back;
    return { result: await operation.result(), ...agent.facts };
  } finally {
    display.stop();
  }
}

/** The host agent as the demo treats it. `look` may kill it, and returns what is to be shown. */
function createVictim({ system }: Stage, say: (text: string) => void) {
  const facts: Omit<Followed, 'result'> = {
    killed: null,
    restarted: null,
    killedAtPercent: 0,
    wentOn: false,
  };
  let copiedAtKill = 0;
  const victim = {
    facts,
    back: Promise.resolve(),
    async look(view: OperationView): Promise<OperationView> {
      const { progress, status } = view;
      if (facts.killed === null) {
        const early = !progress || progress.percent < HALF_WAY_PERCENT;
        if (early || view.state !== 'running') return view;
        copiedAtKill = progress.copiedBytes;
        victim.back = kill(progress.percent);
        return view;
      }
      const news = progress !== null && progress.copiedBytes > copiedAtKill;
      const past = status !== null && !['planning', 'copying'].includes(status.phase);
      if (!facts.wentOn && facts.restarted !== null && (news || past)) {
        facts.wentOn = true;
        const where = news ? `at ${progress.percent} %` : 'at the end of the copy';
        say(`The new agent has found the job by its record in the VM and goes on ${where}.`);
      }
      return news || past ? view : { ...view, progress: await progressOfQemu(system, progress) };
    },
  };
  async function kill(percent: number): Promise<void> {
    const pid = system.rolePid('host');
    await system.killRole('host');
    Object.assign(facts, { killed: pid, killedAtPercent: percent });
    say(`Half way, at ${percent} %: the host agent (pid ${pid}) is killed with SIGKILL.`);
    say('QEMU goes on copying; until an agent is back, libvirt itself is asked for the figures:');
    await system.startRole('host');
    facts.restarted = system.rolePid('host');
    say(`The host agent is started again (pid ${facts.restarted}).`);
    say('Temporal hands it the work when the dead one has missed its heartbeats, after 10 s.');
  }
  return victim;
}

/** What libvirt itself says of the job while no agent tells it. */
async function progressOfQemu(
  { host }: Stage['system'],
  last: Progress | null,
): Promise<Progress | null> {
  const words = await host.virsh('blockjob', VM, DISK, '--info', '--raw').catch(() => '');
  const number = (name: string) => Number(new RegExp(`${name}=(\\d+)`).exec(words)?.[1] ?? NaN);
  const [copiedBytes, totalBytes] = [number('cur'), number('end')];
  if (!last || !(totalBytes > 0)) return last;
  const percent = Math.floor((copiedBytes / totalBytes) * 1000) / 10;
  const left = (totalBytes - copiedBytes) / Math.max(1, last.rateBytesPerSecond);
  return { ...last, percent, copiedBytes, totalBytes, remainingSeconds: Math.ceil(left) };
}
