/** The demo's last act: the running VM's disk moves back while libvirtd is killed. */
import type { Blockflow, Operation, TransferResult } from '../../client/index.ts';
import { openDisplay } from '../../client/cli/show-progress.ts';
import { awaitRemoval } from '../support/host/roles/blockflow-client.ts';
import { activeLayer } from '../support/scenes/merge-scene.ts';
import { watchAcks } from './ack-watch.ts';
import { demand, isAbsent, proveNoLoss } from './proof.ts';
import { DISK, POOL, VM, type Stage } from './stage.ts';
import type { Story } from './story.ts';

/** The mirror takes some seconds: long enough to be met half way. */
const BANDWIDTH_BYTES_PER_SECOND = 64 * 2 ** 20;
const HALF_WAY_PERCENT = 50;

/**
 * Ends with a killed QEMU, whose disk is read.
 * @throws Error with a sentence for the first promise that does not hold.
 */
export async function moveLive(story: Story, stage: Stage, blockflow: Blockflow): Promise<void> {
  const { guest, system } = stage;
  const source = (await activeLayer(guest)).path;
  const qemu = system.host.qemuPid(VM);
  const watch = watchAcks(guest.serial.path);
  await guest.waitForAcks(guest.disk.parameters.slots);
  const before = guest.acknowledged();
  watch.enter('during');
  const operation = await blockflow.move({
    image: { kind: 'disk', vm: VM, disk: DISK },
    to: POOL,
    bandwidthBytesPerSecond: BANDWIDTH_BYTES_PER_SECOND,
  });
  story.step(`Moving while ${VM} runs: blockflow move ${VM} ${DISK} --to ${POOL} --bandwidth 64M`);
  const killed = await followAndKillLibvirtd(story, stage, operation);
  const moved = await operation.result();
  watch.enter('after');
  const meanwhile = guest.acknowledged() - before;
  demand(moved.outcome === 'moved', `the live move ended as "${moved.outcome}"`);
  demand(killed !== null, 'the mirror was over before libvirtd could be killed');
  demand(meanwhile > 0, `${VM} wrote nothing during the live move`);
  story.step(`Moved: ${moved.summary}.`);
  await awaitRemoval(blockflow, moved);
  demand(await isAbsent(source), `${source} is still there`);
  demand(system.host.qemuPid(VM) === qemu, `${VM} was started again`);
  await guest.waitForAcks(guest.disk.parameters.slots);
  const gapsMs = await watch.stop();
  await guest.kill();
  story.step(`QEMU is killed again, and the disk that ${VM} would boot now is read:`);
  const { path, report } = await proveNoLoss(guest);
  demand(path === moved.chainAfter[0], `${VM} would boot from ${path}`);
  const ms = (value: number) => `${value.toFixed(0)} ms`;
  story.heading('And after the live move:');
  story.fact('the same QEMU writes to', path);
  story.fact('libvirtd', `pid ${killed.pid} killed at ${killed.atPercent} %, the move went on`);
  const gaps = `${ms(gapsMs.during)} during the live move, ${ms(gapsMs.before)} before it`;
  story.fact('longest gap in writes', gaps);
  const { lost, acknowledged } = report;
  const all = `${lost.length} of ${acknowledged}, of which ${meanwhile} during the live move`;
  story.fact('writes lost', all);
}

/** Where libvirtd was when it was killed; null when the mirror was over before. */
async function followAndKillLibvirtd(
  story: Story,
  { system: { host } }: Stage,
  operation: Operation<TransferResult>,
): Promise<{ pid: number; atPercent: number } | null> {
  const display = await openDisplay({ ...story.screen, print: story.more }, operation.id);
  let killed: { pid: number; atPercent: number } | null = null;
  try {
    for await (const view of operation.progress({ everyMs: 250 })) {
      if (view.state !== 'running') continue;
      display.show(view);
      const atPercent = view.progress?.percent ?? 0;
      const isMirroring = view.status?.phase === 'mirroring';
      if (killed || !isMirroring || atPercent < HALF_WAY_PERCENT) continue;
      killed = { pid: host.libvirtdPid(), atPercent };
      display.stop();
      await host.killLibvirtd();
      story.step(
        `Half way, at ${atPercent} %: libvirtd (pid ${killed.pid}) is killed with SIGKILL,`,
      );
      await host.startLibvirtd();
      story.more(
        `and started again (pid ${host.libvirtdPid()}). QEMU has gone on with the mirror.`,
      );
    }
  } finally {
    display.stop();
  }
  return killed;
}
