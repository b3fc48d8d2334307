/** What must be true of images after a move, a copy or a removal. */
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { expect } from '@jest/globals';
import type { WorkflowHandle } from '@temporalio/client';
import { execa } from 'execa';
import { OWN_FOLDER } from '../../../../activities/pool-folder/own-folder.ts';
import type { RemoveImageResult } from '../../../../workflows/removal/kind.ts';
import type { TransferResult } from '../../../../workflows/transfer/kind.ts';
import { undoHandle, VAULT } from './image-operations.ts';
import { POOL, type Scene } from '../merge-scene.ts';
import { poolFiles } from '../pool-files.ts';
import { argumentsOf, otherPids, programOf } from '../../host/processes.ts';
import type { System } from '../../host/system.ts';
import { waitUntil } from '../../wait-until.ts';

export { defineOff, diskOf, plainVolume, startCopy, startMove } from './image-operations.ts';
export { startMoveSystem, startOffScene, startRemoval } from './image-operations.ts';
export { undoHandle, VAULT } from './image-operations.ts';

/** A content hash of each file, by its name. */
export async function digests(files: readonly string[]): Promise<Record<string, string>> {
  const found: [string, string][] = [];
  for (const file of files) found.push([basename(file), await digest(file)]);
  return Object.fromEntries(found);
}

/** One buffer for all of it: V8 collects its whole heap again and again for those of a stream. */
async function digest(file: string): Promise<string> {
  const hash = createHash('sha256');
  const buffer = Buffer.allocUnsafe(2 ** 20);
  const handle = await open(file);
  try {
    let { bytesRead } = await handle.read(buffer);
    while (bytesRead > 0) {
      hash.update(buffer.subarray(0, bytesRead));
      ({ bytesRead } = await handle.read(buffer));
    }
  } finally {
    await handle.close();
  }
  return hash.digest('hex');
}

/** Hashes of what a guest would read through each volume, its chain below it included. */
export async function contents(files: readonly string[], formats: readonly string[] = []) {
  const found: string[] = [];
  for (const [at, file] of files.entries()) {
    const raw = `${file}.flat`;
    await execa('qemu-img', ['convert', '-f', formats[at] ?? 'qcow2', '-O', 'raw', file, raw]);
    found.push((await digests([raw]))[basename(raw)] as string);
    await execa('rm', [raw]);
  }
  return found;
}

/** Waits until the source's removal, which a move does not wait for, has ended. */
export async function removalOf(system: System, result: TransferResult) {
  expect(result.removal).not.toBeNull();
  return system.client.workflow
    .getHandle(result.removal ?? '')
    .result() as Promise<RemoveImageResult>;
}

/** The VM boots from where its record points, and finds every write it was acknowledged. */
export async function expectBoots(scene: Scene): Promise<void> {
  await scene.guest.start(60_000);
  await scene.guest.waitForAcks(scene.guest.disk.parameters.slots, 60_000);
  expect(await scene.verifyAfterCrash()).toBeGreaterThan(scene.guest.disk.parameters.slots);
}

/** The persistent source of a VM's disk. */
export async function recordOf({ host }: System, vm: string): Promise<string> {
  const xml = await host.virsh('dumpxml', vm, '--inactive');
  return /<disk.*?<source file='([^']*)'/s.exec(xml)?.[1] ?? '';
}

/** Daemons that hold or copy images for this system. */
export function copiers({ runtimeDir }: System): Promise<number[]> {
  const ours = (word: string) => word.includes(`${runtimeDir}/`);
  const isCopier = (pid: number) =>
    programOf(pid) === 'qemu-storage-daemon' && argumentsOf(pid).some(ours);
  return Promise.resolve(otherPids().filter(isCopier));
}

/**
 * Nothing is left of an operation that did not happen: the source's names, an empty vault, no
 * daemon. Only this function waits for the deletion of copies.
 */
export async function expectNothingLeft(system: System, names: readonly string[]): Promise<void> {
  const vault = () => poolFiles(join(system.host.pools, VAULT));
  await waitUntil('the copies to be deleted', async () => (await vault()).length === 0);
  const there = await poolFiles(join(system.host.pools, POOL));
  expect(there).toEqual(expect.arrayContaining([...names]));
  expect(there.filter((name) => name.startsWith(OWN_FOLDER))).toEqual([]);
  expect(await copiers(system)).toEqual([]);
}

interface Source {
  vm: string;
  file: string;
  /** Its digests. */
  before: object;
}

/** The file is what it was, the record names it, and the VM starts (and may write). */
export async function expectIntact(system: System, { vm, file, before }: Source): Promise<void> {
  expect(await digests([file])).toEqual(before);
  expect(await recordOf(system, vm)).toBe(file);
  await system.host.virsh('start', vm);
  await system.host.virsh('destroy', vm);
}

/** The source is intact, and nothing else is there. */
export async function expectOnlySource(system: System, source: Source): Promise<void> {
  await expectNothingLeft(system, [basename(source.file)]);
  await expectIntact(system, source);
}

export const inVault = (system: System, file: string) =>
  join(system.host.pools, VAULT, basename(file));

/** Bytes on the disk of a copy under way, which has this name once it is there. */
export async function partBytes(
  system: System,
  name: string,
  folder = inVault(system, ''),
): Promise<number> {
  const args = [join(folder, OWN_FOLDER), '-name', `${name}.part`, '-printf', '%b\n'];
  const { stdout } = await execa('find', args, { reject: false });
  return Number(stdout.trim() || 0) * 512;
}

/** Passings of an effect whose targets have this in their names. */
export async function effectsOn(system: System, effect: string, part: string): Promise<string[]> {
  const lines = await system.effects();
  return lines.filter((line) => line.startsWith(`${effect} `) && line.includes(part));
}

/** Waits until it has ended. */
export const undoOf = async (system: System, move: WorkflowHandle) =>
  (await undoHandle(system, move)).result() as Promise<RemoveImageResult>;
