/** Runs the safe pivot as a process that outlives the agent, and reads what it wrote. */
import { existsSync } from 'node:fs';
import { appendFile, mkdir, rm } from '../files/calls.ts';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '../process/command.ts';
import { bug } from '../../../workflows/operation/failures.ts';
import {
  awaitEnd,
  lockOf,
  onlyOnce,
  readReport,
  RUNS_ALREADY,
  startDetached,
  type Detached,
} from '../process/detached.ts';

const script = fileURLToPath(new URL('safe-pivot.bash', import.meta.url));

/** Disks of one VM whose jobs end within one suspension of its guest. */
export interface PivotRequest {
  uuid: string;
  /** What ends the jobs: an aborted copy holds the disk as it was in the suspension. */
  action: 'pivot' | 'abort';
  persistent: boolean;
  /** Of the persistent XML, whose new name is flushed before the guest runs on; null: it is not. */
  folder: string | null;
  /**
   * For so long the guest may stand still until its jobs have written all; else it runs on without
   * a pivot.
   */
  budgetMs: number;
  disks: PivotDisk[];
}
export interface PivotDisk {
  disk: string;
  job: 'active-commit' | 'copy';
  /** Path that the persistent XML must name after the pivot. */
  to: string;
  /** Metadata element that announces the pivot, set before the guest is suspended; null: none. */
  record: string | null;
  /** The job whose copy it is, once all jobs were ended in this suspension. */
  kept: string | null;
  resultFile: string;
}

export interface PivotReport {
  /** `done`, `unknown` (the script or libvirtd died), or `failed` with libvirt's words. */
  pivot: string;
  guest: string;
  /** Its job had more left to write than fits into the budget. */
  isBehind: boolean;
  /** Of a copy the file that it leads to, and the one that the record named before. */
  copy: string | null;
  from: string | null;
  /** All disks that were to switch in this suspension, this one among them. */
  disks: string[];
  action: PivotRequest['action'];
  resumed: boolean;
  /** Why libvirt has not resumed the guest, in its words; null when it was not refused. */
  refused: string | null;
  stallMs: number | null;
  /** For which the suspension has waited for what the jobs had left. */
  waitedMs: number;
  issuedAtMs: number | null;
  /** The agent has begun to save and start the guest, which is to run or be paused after it. */
  reload: GuestAfter | null;
  /** The process of QEMU then; null when it was not known. */
  reloadedQemu: number | null;
  /** Of a copy that was ended at READY instead: the operation's job. */
  kept: string | null;
}
export type GuestAfter = 'running' | 'paused';

/** One file a disk in the agent's runtime folder: it dies with the host, as a paused guest does. */
export const pivotResultFile = (runtimeDir: string, ref: { vmUuid: string; disk: string }) =>
  join(runtimeDir, `pivot-${ref.vmUuid}-${ref.disk}`);

const PREPARE_AFTER_MS = 1000;

export interface Pivots {
  /** Runs one suspension to its end and reads the report of each disk; null for one without. */
  run(request: PivotRequest): Promise<(PivotReport | null)[]>;
  close(): void;
}

/**
 * Runs pivots on one libvirt. One script waits with its connection open, since starting it would
 * cost half of the time between READY and the pivot. It ends with the agent while it waits, and
 * outlives it once it was told what to do.
 */
export function createPivots(uri: string): Pivots {
  let closed = false;
  const start = () => startDetached('bash', [script, uri]);
  let waiting: Detached | null = start();
  const prepareNext = () => (waiting ??= closed ? null : start());
  const take = () => {
    const taken = waiting?.hasEnded() === false ? waiting : start();
    waiting = null;
    return taken;
  };
  return {
    async run(request) {
      const { uuid, action, persistent, folder, budgetMs, disks } = request;
      const files = disks.map(({ resultFile }) => resultFile);
      const [first = ''] = files;
      await mkdir(dirname(first), { recursive: true });
      const lines = [uuid, action, persistent ? 'yes' : 'no', folder ?? '', lockOf(stateOf(first))];
      lines.push(String(budgetMs));
      for (const { disk, job, to, record, kept, resultFile } of disks) {
        lines.push(disk, job, to, record ?? '', kept ?? '', resultFile);
      }
      // A name with a new line in it would give the lines after it another meaning.
      const odd = lines.find((line) => line.includes('\n'));
      if (odd !== undefined) throw bug(`${JSON.stringify(odd)} was to be one line of a pivot`);
      const taken = take();
      taken.tell(`${lines.join('\n')}\n`);
      await taken.exit;
      // Not at once: its start would take time from the steps that follow.
      setTimeout(prepareNext, PREPARE_AFTER_MS).unref();
      return Promise.all(files.map(readPivotReport));
    },
    close() {
      closed = true;
      waiting?.tell('');
    },
  };
}

/**
 * Returns when no script of this VM runs any more (one that an agent's earlier life started). Each
 * has the lock before it asks libvirt, which may be long in answering, and only then its report.
 */
export async function awaitPivotScript(resultFile: string): Promise<void> {
  await awaitEnd(stateOf(resultFile));
}

/** Of all scripts that suspend a VM, for whichever disk: it has their lock. */
export const suspensionState = (runtimeDir: string, vmUuid: string) =>
  join(runtimeDir, `pivot-${vmUuid}`);
const stateOf = (resultFile: string) => resultFile.replace(/-[^-]+$/, '');

/**
 * The report of the last pivot, null when none was begun. It is written before the guest is
 * suspended and after it was resumed, so that one without its lines never stands for a guest that
 * waits for us.
 */
export async function readPivotReport(resultFile: string): Promise<PivotReport | null> {
  const text = await readReport(resultFile);
  if (text === null) return null;
  // What was appended last counts.
  const field = (name: string) =>
    [...text.matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].at(-1)?.[1];
  const number = (name: string) => {
    const said = field(name) ?? '';
    return /^\d+(\.\d+)?$/.test(said) ? Number(said) : null;
  };
  const issuedAt = number('issuedAt');
  const reload = field('reload');
  return {
    pivot: field('pivot') ?? 'unknown',
    guest: field('guest') ?? 'unknown',
    isBehind: field('behind') === 'yes',
    copy: field('job') === 'copy' ? (field('to') ?? null) : null,
    from: field('from') || null,
    disks: (field('with') ?? '').split(' ').filter(Boolean),
    action: field('action') === 'abort' ? 'abort' : 'pivot',
    resumed: field('resumed') !== 'no',
    refused: field('refused') || null,
    stallMs: number('stallMs'),
    waitedMs: number('waitedMs') ?? 0,
    issuedAtMs: issuedAt === null ? null : issuedAt * 1000,
    reload: reload === 'running' || reload === 'paused' ? reload : null,
    reloadedQemu: number('qemu'),
    kept: field('kept') ?? null,
  };
}

/** Why the pivot did not happen, and what it cost the guest. */
export function refusalWords(report: PivotReport | null | undefined): string {
  if (!report) return 'the pivot script died';
  const { pivot, stallMs } = report;
  return stallMs === null ? pivot : `${pivot} (the guest was suspended for ${stallMs} ms)`;
}

/**
 * Whether libvirt refuses for a lease of its lock manager. To resume is not tried again then: each
 * try leases the disks before that one, which stand in the way of the next.
 */
export const isLeased = (words: string) => /Lockspace resource|Failed to acquire lock/.test(words);

/** Before a reload: a guest that is found saved after it is to be started, and by us. */
export const noteReload = (resultFile: string, after: GuestAfter, qemu: number | null) =>
  appendFile(resultFile, `reload=${after}\nqemu=${qemu ?? ''}\n`);

/**
 * `$0` is the URI. Each runs also when the one before it failed: it may be done already. Not for
 * bash, which reads its user's `.bashrc` where its input is a socket.
 */
const RELOAD = 'trap "" TERM; exec virsh -q -c "$0" "managedsave $1 --$2; start $1" >"$3" 2>&1';

/**
 * Saves the guest and starts it from there, in a process that outlives the agent: QEMU ends, and
 * another one opens the chain that libvirt shows. For a guest whose writes all are in both chains.
 * An earlier attempt's that still runs is waited for.
 * @returns virsh's words
 * @throws Error when it was not begun, as another process had the lock and has done nothing
 */
export async function reloadGuest(
  uri: string,
  state: string,
  { uuid, after }: { uuid: string; after: GuestAfter },
): Promise<string> {
  const words = `${state}.reload`;
  const [file, args] = await onlyOnce(state, ['sh', '-c', RELOAD, uri, uuid, after, words]);
  const running = startDetached(file, args);
  running.tell('');
  const code = await running.exit;
  await awaitEnd(state);
  const said = await readReport(words);
  // To see whether a script runs takes its lock for a moment.
  if (code === RUNS_ALREADY && said === null) {
    throw new Error(`guest ${uuid} was looked at meanwhile and not saved; it is looked at again`);
  }
  await rm(words, { force: true });
  return (said ?? '').trim().replaceAll('\n', ' ');
}

/** Forgets a disk's report once its operation has ended. */
export async function removePivotReport(resultFile: string): Promise<void> {
  await rm(resultFile, { force: true });
  const state = stateOf(resultFile);
  if (!existsSync(lockOf(state))) return;
  // Of a script that was killed; another disk's may hold it, and removes it.
  await run(...(await onlyOnce(state, ['rm', '-f', lockOf(state)]))).catch(() => undefined);
}
