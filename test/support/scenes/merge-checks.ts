/** What every test of a merge asks for at its end, whatever the merge was. */
import { readdir } from 'node:fs/promises';
import { expect } from '@jest/globals';
import { WorkflowFailedError } from '@temporalio/client';
import {
  failureDetails,
  type FailureCode,
  type FailureType,
} from '../../../workflows/operation/failures.ts';
import type { LiveMergeRequest } from '../../../workflows/merge/request.ts';
import type { GuestParameters } from '../guest/guest-sector.ts';
import type { Scene } from './merge-scene.ts';
import type { System } from '../host/system.ts';

export type Request = Omit<LiveMergeRequest, 'host'>;

/** A guest whose layers fill quickly: a layer is covered after 16 writes. */
export const SMALL: Partial<GuestParameters> = { slots: 16 };

/** Runs a merge to its end. */
export const merged = async (system: System, request: Request) =>
  (await system.merge(request)).result();

/**
 * The live and the persistent XML of a VM; the same text when it is down. Without the empty element
 * that libvirt leaves where metadata once was.
 */
export async function bothXml(system: System, vm: string): Promise<string[]> {
  const xml = async (...more: string[]) => {
    const whole = await system.host.virsh('dumpxml', vm, ...more).catch(() => 'gone');
    return whole.replace(/\n *<metadata\/>/, '');
  };
  return Promise.all([xml(), xml('--inactive')]);
}

/** The files are these and no other; no record of ours, and no small file of the agent, is left. */
export async function expectLeftClean(scene: Scene, files: readonly string[]): Promise<void> {
  const { system, guest } = scene;
  expect(await scene.files()).toEqual([...files].sort());
  for (const xml of await bothXml(system, guest.name)) expect(xml).not.toContain('urn:blockflow');
  const small = await readdir(system.runtimeDir).catch(() => []);
  // An agent's own, of what it does now.
  expect(small.filter((name) => name !== 'attempts')).toEqual([]);
}

/** Effects that passed the door since `before` lines of the trace, without the audit log's. */
export async function effectsSince(system: System, before: number): Promise<string[]> {
  return (await system.effects()).slice(before).filter((line) => !line.startsWith('audit.'));
}

/** The request fails with this type and code, says what to do, and touches neither XML nor file. */
export async function expectRefused(
  scene: Pick<Scene, 'system' | 'files'>,
  request: Request,
  [type, code]: [FailureType, FailureCode],
): Promise<string> {
  const { system } = scene;
  const effects = (await system.effects()).length;
  const before = [await bothXml(system, request.vm), await scene.files()];
  const error = await merged(system, request).then(
    (result) => expect(result).toBe(`a failure ${code}`),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(WorkflowFailedError);
  const failure = failureDetails(error);
  expect(failure).toMatchObject({ type, details: { code } });
  const { attempted, now, next } = failure?.details ?? { attempted: '', now: '', next: '' };
  for (const words of [attempted, now, next]) expect(words).toMatch(/\w{3}/);
  const messages: string[] = [];
  for (let e = error; e instanceof Error; e = e.cause) messages.push(e.message);
  expect(messages.join('\n')).toContain(`${attempted}: ${now}. ${next}`);
  expect([await bothXml(system, request.vm), await scene.files()]).toEqual(before);
  expect(await effectsSince(system, effects)).toEqual([]);
  return now;
}
