/** Every virsh command of blockflow, one function each. No policy: callers decide what an answer means. */
import { retry } from '../../workflows/failures.ts';
import type { BlockJob, GuestState, JobRecord } from '../../workflows/schemas.ts';
import { CommandError, run } from './command.ts';
import { buildRecord } from './domain-xml.ts';

/** One metadata element a disk, so that two operations of one VM never rewrite each other's record. */
const recordUri = (disk: string) => `urn:blockflow:job:${disk}`;

export interface DomainInfo {
  state: GuestState;
  /** virsh's words, for example `shut off (crashed)`. */
  stateReason: string;
  persistent: boolean;
}

/** One libvirt connection, by URI. Domains are named by UUID except where a name is being looked up. */
export function createLibvirt(uri: string) {
  const virsh = async (...args: string[]): Promise<string> => {
    try {
      return await run('virsh', ['-q', '-c', uri, ...args]);
    } catch (error) {
      if (error instanceof CommandError && isDisconnect(error.stderr)) throw away(uri, error);
      throw error;
    }
  };

  return {
    uri,
    virsh,

    /** UUID of the VM with exactly this name, or null. (virsh itself would take "1" for an id.) */
    async findVm(name: string): Promise<string | null> {
      return (await this.listVms()).find((vm) => vm.name === name)?.uuid ?? null;
    },
    async listVms(): Promise<{ uuid: string; name: string }[]> {
      const lines = (await virsh('list', '--all', '--uuid', '--name')).split('\n');
      return lines.flatMap((line) => {
        const match = /^([0-9a-f-]{36})\s+(.*)$/.exec(line.trim());
        return match ? [{ uuid: match[1] as string, name: match[2] as string }] : [];
      });
    },
    async domainInfo(uuid: string): Promise<DomainInfo> {
      const text = await virsh(`dominfo ${uuid}; domstate ${uuid} --reason`).catch(noDomain);
      if (text === null) return { state: 'off', stateReason: 'gone', persistent: false };
      const stateReason = text.trim().split('\n').at(-1)?.trim() ?? '';
      return {
        state: guestStateOf(stateReason),
        stateReason,
        persistent: /^Persistent:\s+yes$/m.test(text),
      };
    },
    /** Live XML of a running domain (persistent when it is down), null when there is no such domain. */
    currentXml: (uuid: string) => virsh('dumpxml', uuid).catch(noDomain),
    /** Live XML of a running domain, or the persistent XML with `inactive`. */
    domainXml: (uuid: string, view: 'live' | 'inactive') =>
      virsh('dumpxml', uuid, ...(view === 'inactive' ? ['--inactive'] : [])),
    /** XML documents of every domain, live and persistent. */
    async allDomainXml(): Promise<{ uuid: string; name: string; xml: string }[]> {
      const vms = await this.listVms();
      if (vms.length === 0) return [];
      const commands = vms.map((vm) => `dumpxml ${vm.uuid}; dumpxml ${vm.uuid} --inactive`);
      const text = await virsh(commands.join('; '));
      return splitDocuments(text, 'domain').flatMap((xml) => {
        const vm = vms.find(({ uuid }) => xml.includes(`<uuid>${uuid}</uuid>`));
        return vm ? [{ ...vm, xml }] : [];
      });
    },
    define: (xmlFile: string) => virsh('define', xmlFile),
    updateDiskConfig: (uuid: string, xmlFile: string) =>
      virsh('update-device', uuid, xmlFile, '--config'),

    async poolXml(): Promise<string[]> {
      const uuids = (await virsh('pool-list', '--uuid')).split('\n').map((s) => s.trim());
      const commands = uuids.filter(Boolean).map((uuid) => `pool-dumpxml ${uuid}`);
      return commands.length ? splitDocuments(await virsh(commands.join('; ')), 'pool') : [];
    },
    refreshPool: (pool: string) => virsh('pool-refresh', pool),

    async snapshotNames(uuid: string): Promise<string[]> {
      return (await virsh('snapshot-list', uuid, '--name', '--topological'))
        .split('\n')
        .filter(Boolean);
    },
    snapshotXml: (uuid: string, name: string) =>
      virsh('snapshot-dumpxml', uuid, '--snapshotname', name, '--security-info'),
    redefineSnapshot: (uuid: string, xmlFile: string) =>
      virsh('snapshot-create', uuid, '--xmlfile', xmlFile, '--redefine'),
    deleteSnapshotRecord: (uuid: string, name: string) =>
      virsh('snapshot-delete', uuid, '--snapshotname', name, '--metadata'),

    async setRecord(uuid: string, record: JobRecord, scopes: string[]): Promise<void> {
      await virsh('metadata', uuid, '--uri', recordUri(record.disk), '--key', 'blockflow',
        '--set', buildRecord(record), ...scopes);
    },
    async removeRecord(uuid: string, disk: string, scope: '--live' | '--config'): Promise<void> {
      await virsh('metadata', uuid, '--uri', recordUri(disk), '--remove', scope).catch(
        (error: unknown) => {
          if (!(error instanceof CommandError && /metadata not found/.test(error.stderr))) {
            throw error;
          }
        },
      );
    },

    async blockJob(uuid: string, disk: string): Promise<Omit<BlockJob, 'ready'> | null> {
      return parseBlockJob(await virsh('blockjob', uuid, disk, '--raw', '--bytes'));
    },
    /** Several disks in one process: a spawn costs 10 ms, a question in it well under one. */
    async blockJobs(disks: readonly { uuid: string; disk: string }[]) {
      const commands = disks.map(
        ({ uuid, disk }) => `echo @; domstate ${uuid}; blockjob ${uuid} ${disk} --raw --bytes`,
      );
      const parts = (await run('virsh', ['-q', '-c', uri, commands.join('; ')], {
        timeoutMs: 30_000,
      }).catch((error: unknown) => {
        if (error instanceof CommandError && !isDisconnect(error.stderr)) return error.stdout;
        throw error;
      })).split('@').slice(1);
      return parts.map((text) => {
        const words = text.trim().split('\n');
        return { state: guestStateOf(words[0] ?? ''), job: parseBlockJob(words.slice(1).join('\n')) };
      });
    },
    commit: (uuid: string, disk: string, args: readonly string[]) =>
      virsh('blockcommit', uuid, disk, ...args),
    abortJob: (uuid: string, disk: string) => virsh('blockjob', uuid, disk, '--abort'),
    setJobBandwidth: (uuid: string, disk: string, bytesPerSecond: number) =>
      virsh('blockjob', uuid, disk, '--bytes', '--bandwidth', String(bytesPerSecond)),
    resume: (uuid: string) => virsh('resume', uuid),
    version: () => virsh('version', '--daemon'),
  };
}
export type Libvirt = ReturnType<typeof createLibvirt>;

function guestStateOf(domstate: string): GuestState {
  if (/^(running|idle|no state)/.test(domstate)) return 'running';
  if (/^(paused|pmsuspended)/.test(domstate)) return 'paused';
  return 'off';
}

function parseBlockJob(text: string): Omit<BlockJob, 'ready'> | null {
  const field = (name: string) => new RegExp(`${name}=(.*)`).exec(text)?.[1]?.trim();
  const type = field('type');
  if (!type) return null;
  return {
    type,
    copiedBytes: Number(field('cur') ?? 0),
    totalBytes: Number(field('end') ?? 0),
    bandwidthBytesPerSecond: Number(field('bandwidth') ?? 0),
  };
}

function splitDocuments(text: string, root: string): string[] {
  const documents = text.split(`</${root}>`).slice(0, -1);
  return documents.map((part) => `${part.slice(part.indexOf(`<${root}`))}</${root}>`);
}

/** A transient domain that stopped is gone: an answer, not an error. */
function noDomain(error: unknown): null {
  if (error instanceof CommandError && /failed to get domain/.test(error.stderr)) return null;
  throw error;
}

function isDisconnect(stderr: string): boolean {
  return /failed to connect|Failed to connect socket|client socket is closed|Cannot recv data|Cannot write data|End of file while reading|Connection refused|Connection reset/i.test(
    stderr,
  );
}

function away(uri: string, cause: CommandError) {
  return retry(
    'libvirt-away',
    {
      attempted: `asking libvirt at ${uri}`,
      now: `libvirtd does not answer (${cause.stderr.split('\n').at(-1) ?? ''})`,
      next: 'blockflow asks again until it does; look at `systemctl status libvirtd`',
    },
    cause,
  );
}

