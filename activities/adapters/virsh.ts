/**
 * Every virsh command of blockflow, one function each. No policy: callers decide what an answer
 * means.
 */
import type { GuestState } from '../../workflows/schemas.ts';
import { connectVirsh, nullIfNoDomain, type VirshConnection } from './virsh-connection.ts';
import { jobCommands } from './virsh-jobs.ts';
import { recordCommands } from './virsh-records.ts';

export interface DomainInfo {
  state: GuestState;
  /** virsh's words, for example `shut off (crashed)`. */
  stateReason: string;
  persistent: boolean;
}

/**
 * One libvirt connection, by URI. Domains are named by UUID except where a name is being looked up.
 */
export function createLibvirt(uri: string) {
  const virsh = connectVirsh(uri);
  return {
    uri,
    close: () => virsh.close(),
    ...domainCommands(virsh),
    ...poolCommands(virsh),
    ...jobCommands(virsh),
    ...recordCommands(virsh),
  };
}
export type Libvirt = ReturnType<typeof createLibvirt>;

function domainCommands(virsh: VirshConnection) {
  const listVms = async () => {
    const lines = (await virsh.ask('list --all --uuid --name')).split('\n');
    return lines.flatMap((line) => {
      const match = /^([0-9a-f-]{36})\s+(.*)$/.exec(line.trim());
      return match ? [{ uuid: match[1] as string, name: match[2] as string }] : [];
    });
  };
  return {
    listVms,
    /** UUID of the VM with exactly this name, or null. (virsh itself would take "1" for an id.) */
    findVm: async (name: string) => (await listVms()).find((vm) => vm.name === name)?.uuid ?? null,
    /** A domain that does not exist (any more) is off and not persistent. */
    async domainInfo(uuid: string): Promise<DomainInfo> {
      const line = `dominfo ${uuid}; domstate ${uuid} --reason`;
      const text = await virsh.ask(line).catch(nullIfNoDomain);
      if (text === null) return { state: 'off', stateReason: 'gone', persistent: false };
      const stateReason = text.trim().split('\n').at(-1)?.trim() ?? '';
      const persistent = /^Persistent:\s+yes$/m.test(text);
      return { state: guestStateOf(stateReason), stateReason, persistent };
    },
    /**
     * Live XML of a running domain (persistent when it is down), null when there is no such domain.
     */
    currentXml: (uuid: string) => virsh.ask(`dumpxml ${uuid}`).catch(nullIfNoDomain),
    inactiveXml: (uuid: string) => virsh.ask(`dumpxml ${uuid} --inactive`),
    /** XML documents of every domain, live and persistent. */
    async allDomainXml(): Promise<{ uuid: string; name: string; xml: string }[]> {
      const vms = await listVms();
      if (vms.length === 0) return [];
      const commands = vms.map((vm) => `dumpxml ${vm.uuid}; dumpxml ${vm.uuid} --inactive`);
      const text = await virsh.ask(commands.join('; '));
      return splitDocuments(text, 'domain').flatMap((xml) => {
        const vm = vms.find(({ uuid }) => xml.includes(`<uuid>${uuid}</uuid>`));
        return vm ? [{ ...vm, xml }] : [];
      });
    },
    /**
     * `--current`: when the VM runs by now, libvirt refuses another source, and nothing changes.
     */
    updateDiskConfig: (uuid: string, diskXml: string) =>
      virsh.feed(diskXml, 'update-device', uuid, '/dev/stdin', '--current'),
    resume: (uuid: string) => virsh.run('resume', uuid),
    version: () => virsh.run('version', '--daemon'),
  };
}

function poolCommands(virsh: VirshConnection) {
  return {
    /** XML documents of the active pools. */
    async poolXml(): Promise<string[]> {
      const uuids = (await virsh.ask('pool-list --uuid')).split('\n').map((s) => s.trim());
      const commands = uuids.filter(Boolean).map((uuid) => `pool-dumpxml ${uuid}`);
      return commands.length ? splitDocuments(await virsh.ask(commands.join('; ')), 'pool') : [];
    },
    refreshPool: (pool: string) => virsh.command('pool-refresh', '--pool', pool),
  };
}

/**
 * From `domstate`'s words. A guest in power-management suspend runs no code, so it counts as
 * paused.
 */
export function guestStateOf(domstate: string): GuestState {
  // "in shutdown" is a QEMU that still ends: how it ended is known only afterwards.
  if (/^(running|idle|no state|in shutdown)/.test(domstate)) return 'running';
  if (/^(paused|pmsuspended)/.test(domstate)) return 'paused';
  return 'off';
}

function splitDocuments(text: string, root: string): string[] {
  const documents = text.split(`</${root}>`).slice(0, -1);
  return documents.map((part) => `${part.slice(part.indexOf(`<${root}`))}</${root}>`);
}
