/** Runs the safe pivot as a process that outlives the agent, and reads what it wrote. */
import { mkdir, readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';

const script = fileURLToPath(new URL('safe-pivot.bash', import.meta.url));

export interface PivotRequest {
  uri: string;
  uuid: string;
  disk: string;
  /** Path that the persistent XML must name after the pivot. */
  base: string;
  guest: 'running' | 'paused';
  persistent: boolean;
  /** Metadata element that announces the pivot, set before the guest is suspended. */
  record: string;
  resultFile: string;
}

export interface PivotReport {
  /** `done`, `unknown` (the script or libvirtd died), or `failed` with libvirt's words. */
  pivot: string;
  guest: string;
  resumed: boolean;
  stallMs: number | null;
  issuedAtMs: number | null;
}

/** One file a disk in the agent's runtime folder: it dies with the host, as a paused guest does. */
export const pivotResultFile = (runtimeDir: string, ref: { vmUuid: string; disk: string }) =>
  join(runtimeDir, `pivot-${ref.vmUuid}-${ref.disk}`);

/**
 * Runs the script in its own session and waits for its end. Scripts of one disk never overlap: a second one waits
 * for the first.
 */
export async function safePivot(request: PivotRequest): Promise<PivotReport | null> {
  const { uri, uuid, disk, base, guest, persistent, record, resultFile } = request;
  await mkdir(dirname(resultFile), { recursive: true });
  const options = [uri, uuid, disk, base, guest, persistent ? 'yes' : 'no', record, resultFile];
  await execa('flock', [lock(resultFile), 'bash', script, ...options], {
    detached: true,
    stdio: 'ignore',
    reject: false,
    cleanup: false,
  });
  return readPivotReport(resultFile);
}

/** Returns when no script of this disk runs any more (one that an agent's earlier life started). */
export async function awaitPivotScript(resultFile: string): Promise<void> {
  if ((await readPivotReport(resultFile)) === null) return;
  await execa('flock', [lock(resultFile), 'true'], { stdio: 'ignore' });
}

const lock = (resultFile: string) => `${resultFile}.lock`;

/** The report of the last pivot, null when none was begun. */
export async function readPivotReport(resultFile: string): Promise<PivotReport | null> {
  const text = await readFile(resultFile, 'utf8').catch(() => null);
  if (text === null) return null;
  const field = (name: string) => new RegExp(`^${name}=(.*)$`, 'm').exec(text)?.[1];
  const number = (name: string) => (field(name) === undefined ? null : Number(field(name)));
  const issuedAt = number('issuedAt');
  return {
    pivot: field('pivot') ?? 'unknown',
    guest: field('guest') ?? 'unknown',
    resumed: field('resumed') !== 'no',
    stallMs: number('stallMs'),
    issuedAtMs: issuedAt === null ? null : issuedAt * 1000,
  };
}

/** Forgets a disk's report once its operation has ended. */
export async function removePivotReport(resultFile: string): Promise<void> {
  await rm(resultFile, { force: true });
  await rm(lock(resultFile), { force: true });
}
