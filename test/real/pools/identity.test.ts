/** Who is who, where names say nothing: machines of one name, VMs made from another one's XML. */
import { randomUUID } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { observeFile } from '../../../activities/adapters/files/files.ts';
import { buildRecord } from '../../../activities/adapters/libvirt-xml/domain-xml.ts';
import { recordUri } from '../../../activities/adapters/virsh/records.ts';
import { observeHosts } from '../../../activities/pool-folder/hosts.ts';
import { failureDetails } from '../../../workflows/operation/failures.ts';
import { createImage, defineShutOff, diskXml } from '../../support/guest/shut-off-vm.ts';
import { SECOND, startSecondHost } from '../../support/host/second-host.ts';
import { POOL } from '../../support/scenes/merge-scene.ts';
import { startMoveSystem, startRemoval, VAULT } from '../../support/scenes/transfer/move-scene.ts';
import { poolFiles } from '../../support/scenes/pool-files.ts';
import { use } from '../../support/use.ts';
import { waitUntil } from '../../support/wait-until.ts';

const first = use('the first host', () => startMoveSystem({ name: 'h1' }));
const second = use('the second host', () => startSecondHost(first, [POOL, VAULT]));

const images = () => join(first.host.pools, POOL);

/** XML that was copied while a merge ran, or after one that was ended. */
describe('A VM that was made from the XML of another one, on another host', () => {
  const copied: Record<string, (uuid: string) => object> = {
    'its record says whose it is': (vmUuid) => ({ vmUuid }),
    'an earlier version wrote the record': () => ({}),
  };
  it.each(Object.entries(copied))("never has that one's disk deleted: %s", async (_, more) => {
    const [base, orig, clone] = ['base', 'orig', 'clone'].map((name) =>
      join(images(), `${name}.qcow2`),
    ) as [string, string, string];
    await createImage(base);
    for (const file of [orig, clone]) await createImage(file, { below: base });
    await defineShutOff(second.host, 'orig', diskXml(orig));
    await defineShutOff(first.host, 'clone', diskXml(clone));
    const uuid = (await second.host.virsh('domuuid', 'orig')).trim();
    const { identity = '' } = (await observeFile(orig)) ?? {};
    const deletes = [{ path: orig, pool: POOL, identity }];
    const names = { jobId: randomUUID(), workflow: 'orig/vdb', disk: 'vdb', mode: 'cold' };
    const record = { ...names, phase: 'commit', top: orig, base, deletes, ...more(uuid) };
    const uri = ['--uri', recordUri('vdb'), '--key', 'blockflow'];
    const set = ['--set', buildRecord(record), '--config'];
    await first.host.virsh('metadata', 'clone', ...uri, ...set);
    const merge = await first.merge({ vm: 'clone', disk: 'vdb' });
    const error: unknown = await merge.result().catch((failed: unknown) => failed);
    expect(failureDetails(error)).toMatchObject({ type: 'Refused' });
    expect(await poolFiles(images())).toEqual(expect.arrayContaining([basename(orig)]));
    await second.host.virsh('undefine', 'orig');
    await first.host.virsh('undefine', 'clone');
    await Promise.all([base, orig, clone].map((file) => rm(file)));
  });
});

describe('A host of another installation', () => {
  it('keeps the pools that it shares from deletions, until it works for this one', async () => {
    const own = join(images(), '.blockflow/hosts', SECOND);
    const before = await waitUntil('the name of the second host', () =>
      readFile(own, 'utf8').catch(() => undefined),
    );
    const [machine = '', namespace = ''] = before.split('\n');
    expect(namespace).toMatch(/^[0-9a-f-]{36}$/);
    await second.killRole('host');
    await writeFile(own, `${machine}\n${randomUUID()}\n`);
    const file = await createImage(join(images(), 'kept.qcow2'));
    const volume = { pool: POOL, volume: 'kept.qcow2', format: 'qcow2', wipe: false } as const;
    const removal = async () => (await startRemoval(first, volume)).result();
    const error: unknown = await removal().catch((failed: unknown) => failed);
    const details = { code: 'other-installation', next: expect.stringContaining('namespace') };
    expect(failureDetails(error)).toMatchObject({ type: 'Refused', details });
    expect(await observeFile(file)).not.toBeNull();
    await second.startRole('host');
    await waitUntil('its agent to say whom it works for', async () => {
      return (await readFile(own, 'utf8')) === before;
    });
    expect(await removal()).toMatchObject({ outcome: 'removed' });
  });
});

describe('A second machine of the same name', () => {
  it('gets no agent, and is told why', async () => {
    await second.killRole('host');
    await waitUntil('the name of the second host in the pool', async () =>
      (await observeHosts(images())).includes(SECOND),
    );
    const own = join(images(), '.blockflow/hosts', SECOND);
    const before = await readFile(own, 'utf8');
    await writeFile(own, 'another-machine\n');
    await expect(second.startRole('host')).rejects.toThrow(/another-machine is called h2/);
    expect(await readFile(own, 'utf8')).toBe('another-machine\n');
    await writeFile(own, before);
    await second.startRole('host');
  });
});
