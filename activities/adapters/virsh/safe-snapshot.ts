/** Runs the safe snapshot as a process that outlives the agent, and reads what it wrote. */
import { mkdir, rm, writeFile } from '../files/calls.ts';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { awaitEnd, lockOf, readReport, startDetached } from '../process/detached.ts';

const script = fileURLToPath(new URL('safe-snapshot.bash', import.meta.url));

export interface SnapshotCommand {
  uuid: string;
  /** The `<domainsnapshot>` document. */
  snapshotXml: string;
  /** The persistent XML after it; null for a transient VM. */
  recordXml: string | null;
  quiesce: 'no' | 'try' | 'require';
  /** Of the persistent XML, whose new name is flushed before the guest runs on; null: it is not. */
  folder: string | null;
  disks: readonly SwitchedDisk[];
}

interface SwitchedDisk {
  disk: string;
  /** The active layer before it, as libvirt spells it: with another one nothing is switched. */
  shown: string;
  overlay: string;
}

export interface SnapshotReport {
  guest: string;
  /** `done`, `unknown`, `failed` or `not-frozen` with the words of libvirt. */
  switched: string;
  resumed: boolean;
  frozen: string;
  /** Why its file systems could not be frozen; empty when they could, or were not to be. */
  refusal: string;
  stallMs: number | null;
}

/** Its report, and what it reads, begin with this name; they die with the host, as a guest does. */
const fileOf = (state: string, end: string) => `${state}.snapshot-${end}`;

/**
 * Runs one to its end and reads its report; null when it left none.
 * @param state of all scripts that suspend this VM (`suspensionState`)
 */
export async function runSafeSnapshot(
  uri: string,
  state: string,
  command: SnapshotCommand,
): Promise<SnapshotReport | null> {
  await mkdir(dirname(state), { recursive: true });
  const [snapshot, record, result] = ['xml', 'record', 'report'].map((end) => fileOf(state, end));
  const write = (path: string | undefined, text: string) =>
    writeFile(path ?? '', text, { mode: 0o600 });
  await rm(result ?? '', { force: true });
  await write(snapshot, command.snapshotXml);
  if (command.recordXml !== null) await write(record, command.recordXml);
  const { uuid, recordXml, quiesce, folder, disks } = command;
  const lines = [
    ...[uuid, snapshot, recordXml === null ? '' : record, quiesce, folder ?? '', result],
    lockOf(state),
    ...disks.flatMap(({ disk, shown, overlay }) => [disk, shown, overlay]),
  ];
  const started = startDetached('bash', [script, uri]);
  started.tell(`${lines.join('\n')}\n`);
  await started.exit;
  return readSnapshotReport(state);
}

/** Returns when no script that suspends this VM runs any more, one without a report too. */
export async function awaitSnapshotScript(state: string): Promise<void> {
  await awaitEnd(state);
}

/** The report of the last snapshot of this VM; null when none was begun, or it was forgotten. */
export async function readSnapshotReport(state: string): Promise<SnapshotReport | null> {
  const text = await readReport(fileOf(state, 'report'));
  if (text === null) return null;
  const field = (name: string) => new RegExp(`^${name}=(.*)$`, 'm').exec(text)?.[1] ?? '';
  const stallMs = field('stallMs');
  return {
    guest: field('guest') || 'unknown',
    switched: field('switch') || 'unknown',
    resumed: field('resumed') !== 'no',
    frozen: field('frozen') || 'no',
    refusal: field('refusal'),
    stallMs: /^\d+$/.test(stallMs) ? Number(stallMs) : null,
  };
}

/** The guest runs again: from now on it is the user who paused a guest that is paused. */
export async function noteResumed(state: string): Promise<void> {
  const text = (await readReport(fileOf(state, 'report'))) ?? '';
  await writeFile(fileOf(state, 'report'), text.replace(/^resumed=no$/m, 'resumed=yes'));
}

/** Forgets it, and what it has read: a record may hold passwords. */
export async function forgetSnapshot(state: string): Promise<void> {
  for (const end of ['xml', 'record', 'report']) await rm(fileOf(state, end), { force: true });
}
