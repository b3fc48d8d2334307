/** A session of virsh whose libvirtd dies takes no command that failed for one that was done. */
import { describe, expect, it } from '@jest/globals';
import { connectVirsh } from '../../../activities/adapters/virsh/connection.ts';
import { failureDetails } from '../../../workflows/operation/failures.ts';
import { startPrivateHost } from '../../support/host/private-host.ts';
import { use } from '../../support/use.ts';

const host = use('the host', () => startPrivateHost({ name: 'session' }));

/** Nothing that virsh says meanwhile is read before the next question is asked. */
function killUnheard(): void {
  process.kill(host.libvirtdPid(), 'SIGKILL');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500);
}

describe('A session whose libvirtd was killed between two questions', () => {
  it.each(['ask', 'command'] as const)('says so to the next %s', async (way) => {
    const virsh = connectVirsh(host.uri);
    const name = await virsh[way]('hostname');
    killUnheard();
    const failure = await virsh[way]('hostname').then(String, failureDetails);
    await host.startLibvirtd();
    expect(failure).toMatchObject({ details: { code: 'libvirt-away' } });
    expect(await virsh[way]('hostname')).toBe(name);
    virsh.close();
  });
});

describe('A session whose libvirtd was killed and started again', () => {
  it.each(['ask', 'command'] as const)('answers the next %s, or says why not', async (way) => {
    const virsh = connectVirsh(host.uri);
    const name = await virsh[way]('hostname');
    await host.killLibvirtd();
    await host.startLibvirtd();
    const codeOf = (error: unknown) => failureDetails(error)?.details.code;
    expect([name, 'libvirt-away']).toContain(await virsh[way]('hostname').catch(codeOf));
    expect(await virsh[way]('hostname')).toBe(name);
    virsh.close();
  });
});
