/** What a merge must have left behind, whatever happened on its way; and where it is. */
import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { expect } from '@jest/globals';
import type { WorkflowHandle } from '@temporalio/client';
import type { Phase } from '../../../workflows/kinds.ts';
import { observeEvents } from '../../../activities/orchestrator/observe-events.ts';
import type { AuditEvent } from '../../../workflows/operation/audit/audit.ts';
import type { LiveMergeResult } from '../../../workflows/merge/kind.ts';
import type { Scene } from './merge-scene.ts';
import { hasJob } from './copying.ts';
import { untilStatus } from './until-status.ts';

type Merge = WorkflowHandle<(input: unknown) => Promise<LiveMergeResult>>;

export const untilPhase = (merge: Merge, phase: Phase, timeoutMs?: number) =>
  untilStatus(merge, `the phase ${phase}`, (status) => status.phase === phase, timeoutMs);

/** Ends well: one volume, nothing left behind, the guest as it was, every acknowledged write. */
export async function expectMerged(
  scene: Scene,
  merge: Merge,
  guest: 'running' | 'paused' | 'shut off' = 'running',
): Promise<LiveMergeResult> {
  const result = await merge.result();
  const base = scene.chain[0] as string;
  expect(result).toMatchObject({ outcome: 'merged', chainAfter: [base] });
  expect(await scene.files()).toEqual([basename(base)]);
  await expectCleanSlate(scene, guest, base);
  return result;
}

/** Ends without effect: chain and files are what they were, every acknowledged write is there. */
export async function expectUnchanged(
  scene: Scene,
  guest: 'running' | 'paused' | 'shut off' = 'running',
): Promise<void> {
  expect(await scene.files()).toEqual(scene.chain.map((path) => basename(path)).sort());
  await expectCleanSlate(scene, guest, scene.chain.at(-1) as string);
}

/** The guest is as it was, in this layer, with every acknowledged write; nothing is left. */
export async function expectCleanSlate(scene: Scene, state: string, active: string): Promise<void> {
  const { system, guest } = scene;
  const { host } = system;
  expect((await host.virsh('domstate', guest.name)).trim()).toBe(state);
  const documents = [await host.virsh('dumpxml', guest.name, '--inactive')];
  if (state !== 'shut off') {
    documents.push(await host.virsh('dumpxml', guest.name));
    expect(await hasJob(system, guest.name)).toBe(false);
  }
  for (const xml of documents) {
    expect(xml).not.toContain('urn:blockflow');
    expect(xml).not.toContain('<mirror');
    expect(/<disk.*?<source file='([^']*)'/s.exec(xml)?.[1]).toBe(active);
  }
  const uuid = (await host.virsh('domuuid', guest.name)).trim();
  const small = await readdir(system.runtimeDir).catch(() => []);
  expect(small.filter((name) => name.includes(uuid))).toEqual([]);
  if (state === 'running') await guest.waitForAcks(guest.disk.parameters.slots, 60_000);
  expect(await scene.verifyAfterCrash()).toBeGreaterThan(guest.disk.parameters.slots);
}

/** The audit events of a VM, oldest first, read from the files themselves. */
export async function auditEvents({
  system,
  guest,
}: Pick<Scene, 'system'> & { guest: { name: string } }): Promise<AuditEvent[]> {
  const folder = join(system.stateDir, 'events');
  const deps = { folder, effect: () => Promise.reject(new Error('reads only')) };
  const events = await observeEvents(deps, { vm: guest.name, limit: 1000 });
  return events.sort((one, other) => one.time.localeCompare(other.time));
}

/** What the pending activity says in its heartbeat; empty before its first word. */
export async function heartbeatNote(merge: Merge): Promise<string> {
  const { raw } = await merge.describe();
  const payload = raw.pendingActivities?.[0]?.heartbeatDetails?.payloads?.[0];
  const text = Buffer.from(payload?.data ?? []).toString() || '{}';
  return (JSON.parse(text) as { note?: string | null }).note ?? '';
}
