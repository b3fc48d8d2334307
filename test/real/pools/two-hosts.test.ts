/** Two hosts, each with its libvirt, its host agent and its SPM agent, over the same pools. */
import { readFile, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { observeFlockLease } from '../../../activities/pool-folder/flock-lease.ts';
import { observePoolId } from '../../../activities/pool-folder/id.ts';
import { type OperationStatus, statusQuery } from '../../../workflows/kinds.ts';
import { failureDetails } from '../../../workflows/operation/failures.ts';
import { connectTo } from '../../support/host/roles/blockflow-client.ts';
import { expectRefused, SMALL } from '../../support/scenes/merge-checks.ts';
import { expectMerged } from '../../support/scenes/merge-proofs.ts';
import { POOL, startScene } from '../../support/scenes/merge-scene.ts';
import {
  contents,
  copiers,
  defineOff,
  diskOf,
  expectBoots,
  inVault,
  plainVolume,
  recordOf,
  removalOf,
  startMove,
  startMoveSystem,
  startOffScene,
  startRemoval,
  VAULT,
} from '../../support/scenes/transfer/move-scene.ts';
import { poolFiles } from '../../support/scenes/pool-files.ts';
import { SECOND, startSecondHost } from '../../support/host/second-host.ts';
import { createImage, defineShutOff, diskXml } from '../../support/guest/shut-off-vm.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { use, useEach } from '../../support/use.ts';
import { untilStatus } from '../../support/scenes/until-status.ts';

const first = use('the first host', () =>
  startMoveSystem({ name: 'h1', roles: ['orchestrator', 'host'] }),
);
const second = use(
  'the second host',
  () => startSecondHost(first, [POOL, VAULT]),
  (started) => started.revive(),
);
const forTest = useEach();

const folder = (pool: string) => join(first.host.pools, pool);
const images = () => folder(POOL);
const leaseOf = (pool: string) => observeFlockLease(folder(pool));

/** The second host's agent has the leases of both pools, the first host's waits for them. */
async function secondIsSpm(): Promise<void> {
  await first.killRole('spm');
  for (const pool of [POOL, VAULT]) {
    const holder = `spm@${SECOND}:${second.rolePid('spm')}`;
    await waitUntil(`${holder} to be the SPM of ${pool}`, async () => {
      const lease = await leaseOf(pool);
      return lease?.isHeld && lease.holder === holder;
    });
  }
  await first.startRole('spm');
}

/** Names of the effects on storage that passed in the agents of each host. */
async function storageEffects(part: string) {
  const of = async (trace: string) =>
    (await readFile(trace, 'utf8').catch(() => ''))
      .split('\n')
      .filter((line) => line.startsWith('storage.') && line.includes(part))
      .map((line) => line.split(' ')[0]);
  return { first: await of(first.trace), second: await of(second.trace) };
}

describe('A move on one host of pools whose SPM is on another', () => {
  it('copies on its own host; the VM boots there from the target with every write', async () => {
    await secondIsSpm();
    const scene = await forTest(startOffScene(first, { vm: 'both', guest: SMALL }));
    const { chain } = scene;
    const targets = chain.map((file) => inVault(first, file));
    const before = await contents(chain);
    const result = await (await startMove(first, { image: diskOf('both') })).result();
    expect(result).toMatchObject({ outcome: 'moved', verified: true, chainAfter: targets });
    expect(await removalOf(first, result)).toMatchObject({ outcome: 'removed', deleted: chain });
    expect(await contents(targets)).toEqual(before);
    expect(await recordOf(first, 'both')).toBe(targets[2]);
    expect(await poolFiles(images())).toEqual([]);
    expect(await poolFiles(folder(VAULT))).toEqual(chain.map((file) => basename(file)).sort());
    expect(await copiers(first)).toEqual([]);
    const effects = await storageEffects('both');
    expect(effects.first).toEqual([]);
    expect(effects.second.filter((name) => name === 'storage.unlink-volume')).toHaveLength(3);
    expect(await readFile(second.trace, 'utf8')).not.toMatch(/^(image|libvirt)\./m);
    await expectBoots(scene);
    await Promise.all(targets.map((file) => rm(file)));
  });

  it.each(['kill-before', 'kill-after'] as const)(
    "is finished by its own host's SPM agent when the other dies in the deletion (%s)",
    async (action) => {
      await second.killRole('spm');
      await second.startRole('spm', [{ effect: 'storage.unlink-volume', action }]);
      await secondIsSpm();
      const vm = `dies-${action}`;
      const file = await defineOff(first, vm, { bytes: 2 ** 20 });
      const before = await contents([file]);
      const { version } = (await leaseOf(POOL)) ?? { version: 0 };
      const result = await (await startMove(first, { image: diskOf(vm) })).result();
      await second.roleEnded('spm');
      await removalOf(first, result);
      expect(await leaseOf(POOL)).toMatchObject({
        version: version + 1,
        holder: `spm@h1:${first.rolePid('spm')}`,
      });
      expect(await poolFiles(images())).not.toContain(basename(file));
      expect((await poolFiles(images())).filter((name) => name.startsWith('.'))).toEqual([]);
      expect(await contents([inVault(first, file)])).toEqual(before);
      expect(await recordOf(first, vm)).toBe(inVault(first, file));
      const { first: own } = await storageEffects(vm);
      const again = action === 'kill-before' ? ['storage.unlink-volume'] : [];
      expect(own.filter((name) => name !== 'storage.quarantine-volume')).toEqual(again);
      await rm(inVault(first, file));
    },
  );
});

describe('A merge on one host of a pool whose SPM is on another', () => {
  it('has its volumes deleted there', async () => {
    await secondIsSpm();
    const scene = await forTest(
      startScene({ system: first, vm: 'merge', layers: 2, guest: SMALL }),
    );
    const merge = await first.merge({ vm: 'merge', disk: 'vda' });
    await expectMerged(scene, merge);
    const { first: own, second: others } = await storageEffects('merge');
    expect(own).toEqual([]);
    expect(others.filter((name) => name === 'storage.unlink-volume')).toHaveLength(2);
  });
});

describe('A merge of volumes that another host uses', () => {
  it.each(['base', 'top'] as const)('is refused: the %s, by a VM defined there', async (used) => {
    const vm = `on-${used}`;
    const scene = await forTest(startScene({ system: first, vm, layers: 1, guest: SMALL }));
    const file = scene.chain[used === 'base' ? 0 : 1] as string;
    await defineShutOff(second.host, 'there', diskXml(file));
    const request = { vm, disk: 'vda' };
    const words = `${file} is used by VM there on host h2`;
    expect(await expectRefused(scene, request, ['Refused', 'volume-in-use'])).toContain(words);
    const blockflow = await connectTo(first);
    await expect(blockflow.plan(request)).rejects.toThrow(words);
    await blockflow.close();
    await second.host.virsh('undefine', 'there');
    await expectMerged(scene, await first.merge(request));
  });

  it('waits while its use is unknown, as the agent there is unavailable', async () => {
    const scene = await forTest(startScene({ system: first, vm: 'asks', layers: 1, guest: SMALL }));
    await second.killRole('host');
    const merge = await first.merge({ vm: 'asks', disk: 'vda' });
    const away = ({ away: who }: OperationStatus) => Boolean(who?.includes('host-h2'));
    await untilStatus(merge, 'the merge to say who is unavailable', away);
    expect(await scene.files()).toHaveLength(2);
    await second.startRole('host');
    await expectMerged(scene, merge);
  });
});

type Started = { result(): Promise<unknown> };

/** The words of a refusal; nothing was done. */
async function refusal(operation: Started, file: string): Promise<string> {
  const error: unknown = await operation.result().catch((failed: unknown) => failed);
  const failure = failureDetails(error);
  expect(failure).toMatchObject({ type: 'Refused', details: { code: 'volume-in-use' } });
  expect(await poolFiles(images())).toContain(basename(file));
  expect(await poolFiles(folder(VAULT))).toEqual([]);
  expect(await copiers(first)).toEqual([]);
  return failure?.details.now ?? '';
}
const removalOn = (volume: string) => startRemoval(first, { pool: POOL, volume, format: 'qcow2' });

describe('A pool whose name means other storage on the other host', () => {
  it('has its volume deleted where it was planned, and its SPM is not asked', async () => {
    const [own, others] = [folder('own'), join(second.host.root, 'own')];
    await first.host.definePool('own', own);
    await second.host.definePool('own', others);
    const files = [own, others].map((at) => join(at, 'same.qcow2'));
    for (const file of files) await createImage(file);
    for (const at of [own, others]) {
      await waitUntil(`an SPM and an id of ${at}`, async () =>
        Boolean((await observeFlockLease(at)) && (await observePoolId(at))),
      );
    }
    await first.killRole('spm');
    const request = { pool: 'own', volume: 'same.qcow2', format: 'qcow2' as const };
    const removal = await startRemoval(first, request);
    await waitUntil('its own SPM to be missed', async () =>
      (await removal.query(statusQuery)).away?.includes('the agent of spm-own does not answer'),
    );
    await first.startRole('spm');
    expect(await removal.result()).toMatchObject({ deleted: [files[0]] });
    expect(await Promise.all([own, others].map(poolFiles))).toEqual([[], ['same.qcow2']]);
  });
});

describe('A volume that another host uses', () => {
  it('by a VM that runs there is neither removed nor moved: the image lock tells', async () => {
    const image = await plainVolume(first, 'runs', 'qcow2');
    const file = join(images(), 'runs.qcow2');
    await defineShutOff(second.host, 'runs', diskXml(file));
    await second.host.virsh('start', 'runs');
    // Not even its definition is there: the lock alone speaks.
    await second.host.virsh('undefine', 'runs');
    await second.killRole('host');
    expect(await refusal(await removalOn('runs.qcow2'), file)).toMatch(/has .* open/);
    await second.startRole('host');
    const now = await refusal(await startMove(first, { image }), file);
    expect(now).toMatch(/VM runs on host h2/);
    await second.host.virsh('destroy', 'runs');
    expect(await (await removalOn('runs.qcow2')).result()).toMatchObject({ outcome: 'removed' });
  });

  it('by a VM that is only defined there is neither removed nor moved', async () => {
    const file = await defineOff(first, 'twice');
    await defineShutOff(second.host, 'there', diskXml(file));
    const words = 'is used by VM there on host h2';
    expect(await refusal(await startMove(first, { image: diskOf('twice') }), file)).toMatch(words);
    await first.host.virsh('undefine', 'twice');
    expect(await refusal(await removalOn('twice.qcow2'), file)).toMatch(words);
    await second.host.virsh('undefine', 'there');
    expect(await (await removalOn('twice.qcow2')).result()).toMatchObject({ outcome: 'removed' });
    expect(await poolFiles(images())).not.toContain('twice.qcow2');
  });

  it('is not removed while its use is unknown, as the agent there is unavailable', async () => {
    await plainVolume(first, 'unknown', 'qcow2');
    await second.killRole('host');
    const removal = await removalOn('unknown.qcow2');
    await waitUntil('the removal to say who is unavailable', async () => {
      const { away } = await removal.query(statusQuery);
      return away?.includes('the agent of host-h2 does not answer');
    });
    expect(await poolFiles(images())).toContain('unknown.qcow2');
    await second.startRole('host');
    expect(await removal.result()).toMatchObject({ outcome: 'removed' });
  });
});
