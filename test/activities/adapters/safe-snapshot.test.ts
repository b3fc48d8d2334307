/** The script of a snapshot against a `virsh` that writes down what it is told. */
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { runSafeSnapshot } from '../../../activities/adapters/virsh/safe-snapshot.ts';
import { commands, read, root, set, UUID } from '../../support/scenes/pivot-script.ts';

const take = () =>
  runSafeSnapshot('test:///x', join(root, `run/pivot-${UUID}`), {
    uuid: UUID,
    snapshotXml: '<domainsnapshot/>',
    recordXml: null,
    quiesce: 'no',
    folder: null,
    disks: [{ disk: 'vda', shown: '/images/top.qcow2', overlay: '/images/overlay' }],
  });
const resumes = async () => (await commands()).filter((line) => line.includes('resume'));

describe('The safe snapshot', () => {
  it('resumes the guest when QEMU refuses it', async () => {
    await set({ snapshot: 'error: internal error: unable to execute QEMU command' });
    const report = await take();
    expect(report).toMatchObject({ switched: expect.stringMatching(/^failed/), resumed: true });
    expect(await read('state')).toMatch(/^running/);
  });

  it.each([
    'error: End of file while reading data: Input/output error',
    'error: Disconnected from test:///x due to end of file',
    'error: internal error: client socket is closed',
  ])('leaves it suspended while only QEMU knows whether it has switched: %s', async (words) => {
    await set({ snapshot: words });
    expect(await take()).toMatchObject({ switched: 'unknown', guest: 'running', resumed: false });
    expect(await resumes()).toEqual([]);
    expect(await read('state')).toBe('paused (user)');
  });

  it('resumes the guest itself while QEMU was not asked for it', async () => {
    await set({ unsaid: 'error: End of file while reading data: Input/output error' });
    expect(await take()).toMatchObject({ switched: 'unknown', resumed: true });
    expect((await commands()).join()).not.toContain('snapshot-create');
    expect(await read('state')).toMatch(/^running/);
  });
});
