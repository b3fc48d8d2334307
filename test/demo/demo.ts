/**
 * `npm run demo`: merges a snapshot under a writing guest on real libvirt, QEMU and Temporal,
 * kills the host agent half way, and proves that nothing was lost. Then the disk moves to another
 * pool while the VM is down, and back while it runs and libvirtd is killed.
 * Exit code 0 only when every promise holds.
 */
import { parseArgs } from 'node:util';
import type { Blockflow } from '../../client/index.ts';
import { connectTo } from '../support/host/roles/blockflow-client.ts';
import { reapStaleHosts, removeOwnHosts } from '../support/host/host-folder.ts';
import { HOST } from '../support/host/system.ts';
import { watchAcks } from './ack-watch.ts';
import { followAndKill } from './follow.ts';
import { moveLive } from './live-move.ts';
import { moveAndBoot } from './move.ts';
import { pageOf, prove, type Evidence } from './proof.ts';
import { DISK, setStage, SNAPSHOT, takeSnapshot, VM, type Stage } from './stage.ts';
import { stopDemos } from './stop.ts';
import { openStory, type Story } from './story.ts';

const HELP = `Usage: npm run demo [-- --keep | --stop | --help]
  --keep  leave everything running afterwards for a look around, until Ctrl-C
  --stop  end the demos that run or were left on this machine, and clean up after them
`;
/** Slow enough to watch, and to see an agent come back: without it the copy takes a second. */
const BANDWIDTH_BYTES_PER_SECOND = 16 * 2 ** 20;

async function demo(story: Story, keep: boolean, over: Promise<never>): Promise<void> {
  story.step('blockflow demo: a snapshot is merged while its VM runs and writes.');
  story.more('No step is simulated.');
  const stage = await setStage(story);
  const atSnapshot = stage.guest.acknowledged();
  await takeSnapshot(story, stage);
  const blockflow = await connectTo(stage.system);
  const { runId, evidence } = await merge(story, stage, blockflow, atSnapshot);
  await prove(story, stage, evidence);
  await moveAndBoot(story, stage, blockflow);
  await moveLive(story, stage, blockflow);
  story.fact('Web UI', pageOf(stage, runId));
  if (keep) await stayUp(story, stage, blockflow, over);
  else story.fact('', '(gone with this demo; `npm run demo -- --keep` leaves it all running)');
  await blockflow.close();
}

async function merge(story: Story, stage: Stage, blockflow: Blockflow, atSnapshot: number) {
  const { guest } = stage;
  const watch = watchAcks(guest.serial.path);
  const before = await blockflow.chain({ vm: VM, disk: DISK });
  await guest.waitForAcks(guest.disk.parameters.slots);
  const atMerge = guest.acknowledged();
  watch.enter('during');
  const operation = await blockflow.merge({
    vm: VM,
    disk: DISK,
    snapshot: SNAPSHOT,
    bandwidthBytesPerSecond: BANDWIDTH_BYTES_PER_SECOND,
  });
  story.step(`Merging: blockflow merge ${VM} ${DISK} --snapshot ${SNAPSHOT} --bandwidth 16M`);
  story.more(pageOf(stage, operation.runId));
  const followed = await followAndKill(story, stage, operation);
  const atEnd = guest.acknowledged();
  watch.enter('after');
  story.step(`Merged: ${followed.result.summary}.`);
  await guest.waitForAcks(guest.disk.parameters.slots);
  const after = await blockflow.chain({ vm: VM, disk: DISK });
  const gapsMs = await watch.stop();
  const counts = { atSnapshot, atMerge, atEnd };
  const evidence: Evidence = { followed, before, after, counts, gapsMs };
  return { runId: operation.runId, evidence };
}

async function stayUp(
  story: Story,
  { system, guest }: Stage,
  blockflow: Blockflow,
  over: Promise<never>,
): Promise<void> {
  await guest.start();
  story.heading(`Everything stays up, ${VM} runs again. Look around:`);
  story.fact('operations', `${system.temporal.uiUrl}/namespaces/default/workflows`);
  story.fact('libvirt', `virsh -c '${system.host.uri}'`);
  story.fact('Temporal', `export TEMPORAL_ADDRESS=${blockflow.address} BLOCKFLOW_HOST=${HOST}`);
  story.fact('images, logs', system.host.root);
  story.fact('to end it', 'Ctrl-C here, or `npm run demo -- --stop`');
  await over;
}

/** Rejects with the name of the signal that ends the demo. */
function untilSignal(): { over: Promise<never>; end: (why: string) => void } {
  let end: (why: string) => void = () => undefined;
  const over = new Promise<never>((_, reject) => (end = (why) => reject(new Interrupted(why))));
  over.catch(() => undefined);
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, () => end(signal));
  return { over, end };
}

class Interrupted extends Error {}

async function main(): Promise<number> {
  const flag = { type: 'boolean' } as const;
  const { values } = parseArgs({ options: { keep: flag, stop: flag, help: flag } });
  if (values.help) {
    process.stdout.write(HELP);
    return 0;
  }
  if (values.stop) return stopDemos();
  const { over, end } = untilSignal();
  const story = openStory(() => end('the output is closed'));
  const interrupted = (error: unknown) => error instanceof Interrupted;
  try {
    await reapStaleHosts();
    await Promise.race([demo(story, values.keep === true, over), over]);
    return 0;
  } catch (error) {
    if (interrupted(error)) story.step(`${words(error)}: cleaning up.`);
    else story.fail(words(error));
    return interrupted(error) && values.keep ? 0 : 1;
  } finally {
    await removeOwnHosts();
    story.step('Everything of the demo is gone from this machine again.');
  }
}

const words = (error: unknown) => (error instanceof Error ? error.message : String(error));

process.exit(await main());
