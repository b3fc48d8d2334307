/** An audit log of many events, one of which is broken: who reads it holds up nothing else. */
import { linkSync, mkdirSync, writeFileSync } from 'node:fs';
import { readdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, it } from '@jest/globals';
import { entryPath } from '../../../activities/orchestrator/chain.ts';
import { monthsIn } from '../../../activities/orchestrator/audit-log.ts';
import type { AuditEvent } from '../../../workflows/operation/audit/audit.ts';
import { CACHES, startBench } from '../../support/workflow-bench.ts';
import { drawn } from '../../support/sample.ts';
import { use } from '../../support/use.ts';

const MANY = drawn(200_000);
/** ext4 gives a file at most 65,000 names. */
const NAMES = 50_000;

const bench = use('the bench', startBench);
const [CACHE] = CACHES;

const observeEvents = (filter: object): Promise<AuditEvent[]> => {
  const options = { workflowId: 'events', taskQueue: CACHE.cache, args: [filter] };
  return bench.client.workflow.execute('ObserveEvents', options);
};

it('Status and cancel do not wait for it, and its newest events are found', async () => {
  const vm = bench.addVm();
  const handle = await bench.merge(vm, CACHE, { bandwidthBytesPerSecond: 1 });
  await bench.untilPhase(handle, 'copying');
  await fill(bench.auditFolder);
  const ended: string[] = [];
  const told = observeEvents({ limit: 20 }).finally(() => ended.push('events'));
  expect(await bench.status(handle)).toMatchObject({ phase: 'copying', away: null });
  ended.push('status');
  await handle.cancel();
  await expect(handle.result()).rejects.toThrow();
  ended.push('cancel');
  const events = await told;
  expect(ended).toEqual(['status', 'cancel', 'events']);
  expect(events).toHaveLength(20);
  expect(events.filter(({ vm }) => vm === 'old').length).toBeGreaterThanOrEqual(18);
  expect((await bench.events(vm)).map(({ kind }) => kind)).toEqual(['started', 'cancelled']);
});

it('Of events that are large as many are answered as a payload holds, the newest', async () => {
  await (await bench.merge(bench.addVm(), CACHE)).result();
  const [month = ''] = await monthsIn(bench.auditFolder);
  const [some] = await bench.allEvents();
  const before = Array.from({ length: 100 }, (_, n) => `/pools/images/${'deep'.repeat(10)}-${n}`);
  for (let n = 0; n < 600; n += 1) {
    const time = new Date(Date.parse(OLD) + n).toISOString();
    const event = JSON.stringify({ ...some, id: `deep${n}`, vm: 'deep', before, time });
    await writeFile(join(bench.auditFolder, month, `deep${n}.json`), event);
  }
  const events = await observeEvents({ vm: 'deep', limit: 1000 });
  expect(events.length).toBeGreaterThan(100);
  expect(events.at(-1)?.id).toBe('deep599');
  expect(events[0]?.id).toBe(`deep${600 - events.length}`);
  expect(JSON.stringify(events).length).toBeLessThan(1.1 * 2 ** 20);
});

it('A merge that looks into it finds that the same request has merged', async () => {
  const vm = bench.addVm(2);
  const top = vm.path(1);
  await (await bench.merge(vm, CACHE, { top })).result();
  const again = await bench.merge(vm, CACHE, { top });
  expect(await again.result()).toMatchObject({ outcome: 'already-done' });
});

/** Before what is in it; names of few files, as making so many would take minutes. */
async function fill(folder: string): Promise<void> {
  const [month = ''] = await monthsIn(folder);
  const [first = ''] = await readdir(join(folder, month));
  const old = { ...(await bench.allEvents())[0], id: first, vm: 'old', time: OLD };
  await writeFile(join(folder, month, 'broken.json'), '{"id": "bro');
  nameOften(JSON.stringify(old), (n) => join(folder, month, `old${n}.json`));
  nameOften('{}', (n) => entryPath(folder, n + 1000));
}
const OLD = '2026-01-01T00:00:00.000Z';

function nameOften(text: string, path: (n: number) => string): void {
  let of = '';
  for (let n = 0; n < MANY; n += 1) {
    if (n % 1000 === 0) mkdirSync(dirname(path(n)), { recursive: true });
    if (n % NAMES === 0) writeFileSync((of = path(n)), text);
    else linkSync(of, path(n));
  }
}
