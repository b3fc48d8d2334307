/**
 * Every virsh command of blockflow, one function each. No policy: callers decide what an answer
 * means.
 */
import { CommandError, saidIn } from '../process/command.ts';
import { unexpected } from '../reply.ts';
import { connectVirsh, nullIf, nullIfNoDomain, type VirshConnection } from './connection.ts';
import { jobCommands } from './jobs.ts';
import { savedText } from './libvirt-folders.ts';
import { createPoolLists } from './pool-list.ts';
import { recordCommands } from './records.ts';

/** A guest in power-management suspend runs no code, so it counts as paused. */
export type GuestState = 'running' | 'paused' | 'off';

export interface DomainInfo {
  state: GuestState;
  /** virsh's words, for example `shut off (crashed)`. */
  stateReason: string;
  persistent: boolean;
  /**
   * The next start restores a guest with the XML and the disks of when it was saved. The reason
   * `shut off (saved)` says so only until libvirtd is restarted.
   */
  managedSave: boolean;
}

/**
 * One libvirt connection, by URI. Domains are named by UUID except where a name is being looked up.
 */
export function createLibvirt(uri: string) {
  const virsh = connectVirsh(uri);
  const { endLists, ...lists } = createPoolLists((pool) =>
    virsh.command('pool-refresh', '--pool', pool),
  );
  return {
    uri,
    close: () => {
      endLists();
      virsh.close();
    },
    ...domainCommands(virsh),
    ...poolCommands(virsh),
    ...lists,
    ...jobCommands(virsh),
    ...recordCommands(virsh),
  };
}
export type Libvirt = ReturnType<typeof createLibvirt>;

const LIST = 'list --all --uuid --name';
const GONE = { state: 'off', stateReason: 'gone', persistent: false, managedSave: false } as const;

function domainCommands(virsh: VirshConnection) {
  const listVms = async () => parseVms(await virsh.ask(LIST));
  /** Live XML of a running domain, persistent when it is down; null without such a domain. */
  const currentXml = (uuid: string) => virsh.ask(`dumpxml ${uuid}`).catch(nullIfNoDomain);
  const inactiveXml = (uuid: string) => virsh.ask(`dumpxml ${uuid} --inactive`);
  return {
    listVms,
    /** Those that have snapshots. */
    listSnapshotted: async () => parseVms(await virsh.ask(`${LIST} --with-snapshot`)),
    /** UUID of the VM with exactly this name, or null. (virsh itself would take "1" for an id.) */
    findVm: async (name: string) => (await listVms()).find((vm) => vm.name === name)?.uuid ?? null,
    /** A domain that does not exist (any more) is off and not persistent. */
    async domainInfo(uuid: string): Promise<DomainInfo> {
      const line = `dominfo ${uuid}; domstate ${uuid} --reason`;
      const text = await virsh.ask(line).catch(nullIfNoDomain);
      if (text === null) return GONE;
      return parseInfo(text);
    },
    currentXml,
    inactiveXml,
    activeLayers: (uuid: string) => activeLayers(virsh, uuid),
    /** The same with passwords: what may be given back to libvirt. */
    wholeXml: (uuid: string, which: 'live' | 'inactive') =>
      virsh.ask(`dumpxml ${uuid} --security-info${which === 'live' ? '' : ' --inactive'}`),
    /** Replaces the whole persistent XML, of a running VM too: one rename, all of it or nothing. */
    define: (xml: string) => virsh.feed(xml, (path) => ['define', path]),
    thaw: (uuid: string) => virsh.run('domfsthaw', uuid),
    /**
     * XML documents of every domain: live, persistent, and of a saved guest; without those of a
     * domain that has gone meanwhile. One question each: an error among many answers could be taken
     * for a short list. Of one that is down the first is the persistent one.
     */
    allDomainXml: () => allDomainXml(virsh),
    /**
     * `--current`: when the VM already runs, libvirt refuses another source, and nothing changes.
     * `--config` changes the record alone.
     */
    updateDiskConfig: (uuid: string, diskXml: string, scope: '--current' | '--config') =>
      virsh.feed(diskXml, (path) => ['update-device', uuid, path, scope]),
    sightOf: (emptyFile: string) => sightOf(virsh, emptyFile),
    resume: (uuid: string) => virsh.run('resume', uuid),
    start: (uuid: string) => virsh.run('start', uuid),
    version: () => virsh.run('version', '--daemon'),
    /** XML document of what the host can, with its security drivers. */
    capabilities: () => virsh.ask('capabilities'),
    /** XML document of what this emulator can. @throws CommandError where libvirt cannot use it */
    emulatorCapabilities: (path: string) => virsh.command('domcapabilities', '--emulatorbin', path),
  };
}

interface Vm {
  uuid: string;
  name: string;
}

export interface DomainXml extends Vm {
  /** Where `unread` says why, the text of its file; null where that cannot be told, either. */
  xml: string | null;
  /** Of a saved guest: why libvirt cannot tell it. */
  unread: string | null;
}

async function allDomainXml(virsh: VirshConnection): Promise<DomainXml[]> {
  const list = async (...which: string[]) => parseVms(await virsh.ask([LIST, ...which].join(' ')));
  const dump = (line: string) => virsh.ask(`dumpxml ${line}`).catch(nullIfNoDomain);
  const [vms, saved] = await Promise.all([list(), list('--with-managed-save')]);
  const all = vms.map(async (vm) => {
    const current = await dump(vm.uuid);
    const kept = current !== null && isLive(current) ? await dump(`${vm.uuid} --inactive`) : null;
    return [current, kept].flatMap((xml) => (xml === null ? [] : [{ ...vm, xml, unread: null }]));
  });
  const asleep = saved.map(async (vm) => {
    try {
      return [{ ...vm, xml: await virsh.ask(`managedsave-dumpxml ${vm.uuid}`), unread: null }];
    } catch (error) {
      return unreadSave(vm, error);
    }
  });
  return (await Promise.all([...all, ...asleep])).flat();
}

/** Only the document of a domain that runs has its number. */
const isLive = (xml: string) => /^<domain\s[^>]*\bid=/.test(xml);

/**
 * Whether libvirtd finds an empty file of this path: it opens it on its own side, to read the
 * header of a saved guest.
 */
async function sightOf(virsh: VirshConnection, emptyFile: string) {
  try {
    await virsh.command('save-image-dumpxml', emptyFile);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    const words = error.stderr.trim().replace(/^error: /, '');
    return { isSeen: /failed to read qemu header/.test(words), words };
  }
  return { isSeen: false, words: 'it is not empty there' };
}

/** One that was restored or dropped between two questions is no error. */
async function unreadSave(vm: Vm, error: unknown): Promise<DomainXml[]> {
  if (!(error instanceof CommandError)) throw error;
  if (/does not have managed save image|failed to get domain/.test(error.stderr)) return [];
  const unread = saidIn(error.stderr);
  return [{ ...vm, xml: await savedText(vm), unread }];
}

function poolCommands(virsh: VirshConnection) {
  return {
    /** XML documents of the active pools. */
    async poolXml(which: 'active' | 'all' = 'active'): Promise<string[]> {
      const all = which === 'all' ? ' --all' : '';
      const uuids = parseUuids(await virsh.ask(`pool-list --uuid${all}`));
      const texts = uuids.map((uuid) => virsh.ask(`pool-dumpxml ${uuid}`).catch(nullIfNoPool));
      return (await Promise.all(texts)).filter((xml) => xml !== null);
    },
    /** Of a folder, and started at boot. */
    async definePool(pool: string, folder: string): Promise<void> {
      await virsh.command('pool-define-as', '--name', pool, '--type', 'dir', '--target', folder);
      await virsh.command('pool-autostart', '--pool', pool);
    },
    startPool: (pool: string) => virsh.command('pool-start', '--pool', pool),
  };
}

/** One that was undefined or stopped between two questions. */
const nullIfNoPool = nullIf(/failed to get pool/);

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Lines of `list --uuid --name`. A name may begin and end with blanks, so nothing is trimmed. */
export function parseVms(text: string): { uuid: string; name: string }[] {
  const vms = linesOf(text).map((line) => ({ uuid: line.slice(0, 36), name: line.slice(37) }));
  const odd = vms.find(({ uuid, name }) => !UUID.test(uuid) || name === '');
  if (odd) throw unexpected('virsh list', 'a line has no UUID and name', text);
  return vms;
}

/** Of the running domain, by target, as libvirt spells them; none without one. */
async function activeLayers(virsh: VirshConnection, uuid: string): Promise<Map<string, string>> {
  const text = (await virsh.ask(`domblklist ${uuid}`).catch(nullIfNoDomain)) ?? '';
  return new Map(linesOf(text).map(layerIn));
}

/** A line of `domblklist`: a target, and all that follows it. */
function layerIn(line: string): [disk: string, layer: string] {
  const text = line.trim();
  const end = text.indexOf(' ');
  return [text.slice(0, end), text.slice(end).trim()];
}

/** Lines of `pool-list --uuid`. */
export function parseUuids(text: string): string[] {
  const uuids = linesOf(text).map((line) => line.trim());
  if (uuids.every((uuid) => UUID.test(uuid))) return uuids;
  throw unexpected('virsh pool-list', 'a line is no UUID', text);
}

const linesOf = (text: string) => text.split('\n').filter((line) => line.trim() !== '');

/** The answers of `dominfo` and `domstate --reason`, one after the other. */
export function parseInfo(text: string): DomainInfo {
  const stateReason = linesOf(text).at(-1)?.trim() ?? '';
  const is = (field: string) => {
    const line = new RegExp(`^${field}:\\s+(yes|no)$`, 'gm');
    const [answer, again] = [...text.matchAll(line)].map((match) => match[1]);
    if (answer !== undefined && again === undefined) return answer === 'yes';
    throw unexpected('virsh dominfo', `it does not say yes or no to ${field}`, text);
  };
  return {
    state: guestStateOf(stateReason),
    stateReason,
    persistent: is('Persistent'),
    managedSave: is('Managed save'),
  };
}

/**
 * From `domstate`'s words, `STATE` or `STATE (REASON)`.
 * @throws Retry `unexpected-reply`: what is not known is not off
 */
export function guestStateOf(domstate: string): GuestState {
  const word = domstate.replace(/ \([^()]*\)$/, '');
  // "in shutdown" is a QEMU that still ends: how it ended is known only afterwards.
  if (['running', 'idle', 'no state', 'in shutdown'].includes(word)) return 'running';
  // "crashed" is a guest that panicked, which its VM is set to keep; QEMU's end is "shut off".
  if (['paused', 'pmsuspended', 'crashed'].includes(word)) return 'paused';
  if (word === 'shut off') return 'off';
  throw unexpected('virsh domstate', 'it is no state of a VM', domstate);
}
