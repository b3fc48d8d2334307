/**
 * Records a history of each ending and each restart from real operations on a private host: `npm
 * run record-histories`. With names of recordings as arguments only those. Needs root, about ten
 * minutes.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client, Connection, type WorkflowHandle } from '@temporalio/client';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { statusQuery, type Phase } from '../../workflows/kinds.ts';
import type { RoleName } from '../../worker/roles/start.ts';
import { addLayer } from '../support/guest/disks/layers.ts';
import { startMoveSystem } from '../support/scenes/transfer/image-operations.ts';
import { startScene, type Scene } from '../support/scenes/merge-scene.ts';
import { mountOwn } from '../support/host/own-mount.ts';
import { HOST, startMerge, type System } from '../support/host/system.ts';
import { waitUntil } from '../support/wait-until.ts';
import { imageRun } from './image-runs.ts';
import { snapshotRun } from './snapshot-runs.ts';
import {
  allRecordings,
  historiesFolder,
  imageRecordings,
  payloadTexts,
  recordingNames,
  snapshotRecordings,
  type ImageRecordingName,
  type MergeRecordingName,
  type RecordingName,
  type SnapshotRecordingName,
} from './recorded.ts';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
type Handle = Awaited<ReturnType<typeof startMerge>>;
interface Stage {
  system: System;
  client: Client;
  scene: Scene;
  vm: string;
  merge(request?: object): Promise<Handle>;
}

const inPhase = (handle: Handle, phase: Phase) =>
  waitUntil(
    `phase ${phase}`,
    async () => (await handle.query(statusQuery).catch(() => null))?.phase === phase,
    { timeoutMs: 60_000 },
  );
const virsh = ({ system, vm }: Stage, command: string) => system.host.virsh(command, vm);

/** A merge whose job runs, and will for a while. */
async function copying(stage: Stage, request: object = {}): Promise<Handle> {
  const handle = await stage.merge({ bandwidthBytesPerSecond: 65536, ...request });
  const job = () => stage.system.host.virsh('blockjob', stage.vm, 'vda');
  await waitUntil('the job', async () => !(await job()).includes('No current block job'));
  return handle;
}

/** A merge that copies slowly while something happens to it, and then as fast as it can. */
async function meanwhile(stage: Stage, happens: () => Promise<void>): Promise<Handle> {
  await addLayer(stage.scene);
  const handle = await copying(stage);
  await happens();
  await handle.executeUpdate('bandwidth', { args: [0] });
  return handle;
}

const restart = (role: RoleName) => (stage: Stage) =>
  meanwhile(stage, async () => {
    await stage.system.killRole(role);
    await stage.system.startRole(role);
  });

async function afterCrash(stage: Stage, request: object): Promise<Handle> {
  await addLayer(stage.scene);
  const handle = await copying(stage, request);
  await stage.scene.guest.kill();
  return handle;
}

async function decided(stage: Stage): Promise<Handle> {
  await addLayer(stage.scene);
  const handle = await stage.merge({ waitForDecision: true });
  await inPhase(handle, 'waiting for a decision');
  await handle.executeUpdate('decide', { args: ['pivot'] });
  return handle;
}

/** Without its SPM agent a merge stays where nothing is undone any more. */
async function whileDeleting(stage: Stage, happens: (handle: Handle) => Promise<unknown>) {
  await addLayer(stage.scene);
  await stage.system.killRole('spm');
  const handle = await stage.merge();
  await inPhase(handle, 'deleting');
  await happens(handle);
  await stage.system.startRole('spm');
  return handle;
}

const run: Record<MergeRecordingName, (stage: Stage) => Promise<Handle>> = {
  merged: async (stage) => (await addLayer(stage.scene), stage.merge()),
  async inner(stage) {
    const top = await addLayer(stage.scene);
    await addLayer(stage.scene);
    return stage.merge({ top });
  },
  async cold(stage) {
    await addLayer(stage.scene);
    await virsh(stage, 'destroy');
    return stage.merge();
  },
  async snapshot(stage) {
    await addLayer(stage.scene, 'before-upgrade');
    return stage.merge({ snapshot: 'before-upgrade' });
  },
  kept: async (stage) => (await addLayer(stage.scene), stage.merge({ keepOverlay: true })),
  decided,
  async cancelled(stage) {
    await addLayer(stage.scene);
    const handle = await copying(stage);
    await handle.cancel();
    return handle;
  },
  'cancel-refused': (stage) => whileDeleting(stage, (handle) => handle.cancel()),
  'vm-crashed': (stage) => afterCrash(stage, {}),
  'vm-crashed-continued': (stage) => afterCrash(stage, { onVmStop: 'continue' }),
  refused: (stage) => stage.merge({ top: 'no-such-volume.qcow2' }),
  'already-done': (stage) => stage.merge(),
  'restart-of-orchestrator': restart('orchestrator'),
  'restart-of-host-agent': restart('host'),
  'restart-of-spm-agent': (stage) => whileDeleting(stage, () => Promise.resolve()),
  'restart-of-libvirtd': (stage) =>
    meanwhile(stage, async () => {
      await stage.system.host.killLibvirtd();
      await stage.system.host.startLibvirtd();
    }),
  'restart-of-temporal': (stage) =>
    meanwhile(stage, async () => {
      await stage.system.killTemporal();
      await stage.system.startTemporal();
    }),
};

async function recordMerge(name: MergeRecordingName, system: System, client: Client) {
  const vm = name.replaceAll('-', '');
  const scene = await startScene({ system, vm, layers: 0, guest: { slots: 16 } });
  const merge = (request = {}) => startMerge(client, { vm, disk: 'vda', host: HOST, ...request });
  const handle = await run[name]({ system, client, scene, vm, merge });
  await keep(name, handle);
  await scene.close();
}

async function recordImage(name: ImageRecordingName, system: System, client: Client) {
  const vm = name.replaceAll('-', '');
  const handle = await imageRun[name]({ system, client, vm, vault: vault.path });
  await keep(name, handle);
  await system.revive();
}

async function recordSnapshot(name: SnapshotRecordingName, system: System) {
  await keep(name, await snapshotRun[name](system, name.replaceAll('-', '')));
}

/** Waits for its end, and writes its history. */
async function keep(name: RecordingName, handle: WorkflowHandle): Promise<void> {
  const ended = (await handle.result().catch(String)) as string | { summary: string };
  const history = historyToJSON(await handle.fetchHistory());
  // Stack traces name the folder of the source.
  const text = history.replaceAll(`file://${root}/`, '').replaceAll(`${root}/`, '');
  for (const told of [text, ...payloadTexts(text)]) {
    const found = [root, `@${hostname()}`].filter((own) => told.includes(own));
    if (found.length > 0) throw new Error(`the history of ${name} names ${found.join(', ')}`);
  }
  writeFileSync(`${historiesFolder}${name}.json`, `${text}\n`);
  console.log(`${name}: ${typeof ended === 'string' ? ended : ended.summary}`);
}

const manifest = createRequire(import.meta.url).resolve('@temporalio/worker/package.json');
const sdk = (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version;
const lineOf = (name: RecordingName) =>
  `- \`${name}.json\`: ends as ${JSON.stringify(allRecordings[name])}`;
const readMe = () => `# Recorded histories

Made by \`npm run record-histories\` from real operations on a private host, with Temporal's
TypeScript SDK ${sdk} on Node ${process.version}. Nothing is stripped; the folder of the source is
taken out of stack traces. They are replayed against the current workflow code by
\`test/replay/replay.test.ts\`. Never edit one: record it again.

${recordingNames.map(lineOf).join('\n')}
`;

const wanted = process.argv.slice(2) as RecordingName[];
// Of ext4, on which a file can be made unwritable for root too; and it can be unmounted.
const vault = await mountOwn('ext4', 1024);
const system = await startMoveSystem({ name: 'record', vault: vault.path });
try {
  mkdirSync(historiesFolder, { recursive: true });
  const connection = await Connection.connect({ address: system.temporal.address });
  const client = new Client({ connection, identity: `recorder@${HOST}` });
  for (const name of wanted.length > 0 ? wanted : recordingNames) {
    if (name in imageRecordings) await recordImage(name as ImageRecordingName, system, client);
    else if (name in snapshotRecordings)
      await recordSnapshot(name as SnapshotRecordingName, { ...system, client });
    else await recordMerge(name as MergeRecordingName, system, client);
  }
  writeFileSync(`${historiesFolder}README.md`, readMe());
  await connection.close();
} finally {
  await system.close();
  await vault.close();
}
process.exit(0);
