/** What a person types to delete a snapshot, and reads. */
import { beforeAll, describe, expect, it } from '@jest/globals';
import { commandLine, environmentOf, type Typed } from '../../support/host/roles/command-line.ts';
import { says } from '../../support/host/roles/says.ts';
import { layerOf, listed, startThreeDisks } from '../../support/guest/disks/three-disks.ts';
import { SLOW } from '../../support/scenes/copying.ts';
import { useSystem } from '../../support/scenes/use-system.ts';
import { useEach } from '../../support/use.ts';
import { waitUntil } from '../../support/wait-until.ts';

const system = useSystem();
const forTest = useEach();
let blockflow: Typed;
beforeAll(() => void (blockflow = commandLine(environmentOf(system))));

const untilStatus = (vm: string, words: RegExp) =>
  waitUntil(`the status of ${vm}`, async () => words.test((await blockflow('status', vm)).printed));

describe('snapshot delete', () => {
  it('tells what it would do, does it, and is done when typed again', async () => {
    const scene = await forTest(
      startThreeDisks({ system, vm: 'off', snapshots: ['one', 'two'], running: false }),
    );
    const request = ['snapshot', 'delete', 'off', 'one'];
    await says(
      blockflow(...request, '--children', '--dry-run'),
      0,
      'Deletion of two, then one of off on h1\n',
      /vdb +cold merge of off-two-vdb, \d.\d MiB, into off-one-vdb\n/,
      `delete ${layerOf(scene, 'one', 'vdc')} (pool images)`,
      'Nothing was touched (--dry-run).',
    );
    expect(await listed(scene)).toEqual({ one: null, two: 'one' });
    await says(
      blockflow(...request),
      0,
      /^Done: deleted snapshot one of off: 3 of 3 disks merged \(vda, vdb, vdc\), /m,
      `deleted  ${layerOf(scene, 'one', 'vdb')}`,
    );
    await says(blockflow(...request), 0, 'snapshot delete off one: already done, this request');
    await says(blockflow('events', 'off'), 0, /deleted +off\/\* on h1/);
    const none = await blockflow('snapshot', 'delete', 'off', 'none', '--json');
    expect(JSON.parse(none.printed)).toMatchObject({ code: 'unknown-snapshot', exitCode: 3 });
    const both = blockflow(...request, '--children', '--children-only');
    await says(both, 2, 'cannot be used with option');
  });

  it('of which a disk was detached since: the others are merged, its file is named', async () => {
    const scene = await forTest(
      startThreeDisks({ system, vm: 'less', snapshots: ['one'], running: false }),
    );
    await system.host.virsh('detach-disk', 'less', 'vdb', '--config');
    await says(blockflow('snapshot', 'list', 'less'), 0, /one .* vda vdb \(detached\) vdc/);
    await says(
      blockflow('snapshot', 'delete', 'less', 'one'),
      0,
      /^Done: deleted snapshot one of less: 2 of 2 disks merged \(vda, vdc\)/m,
      `less does not have vdb any more: ${layerOf(scene, 'one', 'vdb')} stays`,
    );
    expect(await listed(scene)).toEqual({});
  });

  it('is shown, limited and cancelled by the name of the VM', async () => {
    const options = { system, vm: 'web1', snapshots: ['one'], mebibytes: 120 };
    const scene = await forTest(startThreeDisks(options));
    await system.host.virsh('suspend', 'web1');
    const request = ['snapshot', 'delete', 'web1', 'one', '--bandwidth', `${SLOW}B`];
    await says(blockflow(...request, '--detach'), 0, 'web1 has started: blockflow status web1');
    await says(blockflow(...request, '--detach'), 0, 'web1 runs already');
    await untilStatus('web1', /vda +one: merged\n +vdb +one: merging\n +vdc +one: merging/);
    const limit = blockflow('bandwidth', 'web1', '128K');
    await says(limit, 0, 'web1: 128.0 KiB/s for each merge: vdb, vdc');
    await untilStatus('web1/vdb', /limit +128.0 KiB\/s/);
    const other = blockflow('snapshot', 'delete', 'web1', 'one', '--children');
    await says(other, 3, 'another operation runs on web1: snapshot delete web1 one on h1 (merging');
    await says(
      blockflow('cancel', 'web1'),
      0,
      'web1 is cancelled: 1 of 3 disks merged (vda); vdb left; vdc left; the same request goes on',
    );
    await says(blockflow(...request, '--bandwidth', '0'), 0, '3 of 3 disks merged');
    expect(await listed(scene)).toEqual({});
    await scene.expectData();
  });
});
