import { access, constants } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { XmlDisk, XmlDomain } from '../../activities/adapters/libvirt-xml/domain-xml.ts';
import { observePoolId } from '../../activities/pool-folder/id.ts';
import { missingPool } from '../../activities/pool-folder/known-pools.ts';
import { otherMachine, runItThere } from '../../activities/pool-folder/own-machine.ts';
import { canonical } from '../../activities/adapters/files/files.ts';
import { findQemu } from '../../activities/adapters/files/open-files.ts';
import {
  filePoolTypes,
  isFilePool,
  observePools,
  poolOf,
  readDomain,
  type Pool,
} from '../../activities/adapters/virsh/pools.ts';
import { createLibvirt, type Libvirt } from '../../activities/adapters/virsh/domains.ts';
import { lockManagerOf } from '../../activities/adapters/virsh/lock-manager.ts';
import type { InPool } from '../../workflows/operation/contract.ts';
import { failureDetails } from '../../workflows/operation/failures.ts';
import { typed, shell } from '../../workflows/operation/names.ts';
import { checker, wordsOf, type Check } from './check.ts';

const libvirtCheck = checker('libvirt');
const storage = checker('storage');

/** libvirt, its pools, and the rights on the images of every VM. */
export async function checkLibvirt(uri: string, stateDir: string): Promise<Check[]> {
  const libvirt = createLibvirt(uri);
  try {
    const version = (await libvirt.version()).match(/Running against daemon: (.*)/)?.[1];
    const reached = libvirtCheck.ok(`libvirt ${version ?? ''} at ${uri}`);
    const pools = await observePools(libvirt);
    const mounted = await checkFolders(libvirt, pools, stateDir);
    const disks = await checkDisks(libvirt, pools);
    return [reached, checkPools(pools), ...mounted, ...(await checkLeases(libvirt)), ...disks];
  } catch (error) {
    const list = shell`virsh -c ${uri} list`;
    const fix = `try ${list}; is libvirtd running, are you in group libvirt?`;
    return [libvirtCheck.fails(`libvirt at ${uri} cannot be used: ${reasonOf(error)}`, fix)];
  } finally {
    libvirt.close();
  }
}

const reasonOf = (error: unknown) => failureDetails(error)?.details.now ?? wordsOf(error);

/** The pools that an SPM agent of this libvirt serves; empty when it does not answer. */
export async function poolsToServe(uri: string): Promise<InPool[]> {
  const libvirt = createLibvirt(uri);
  try {
    const pools = await observePools(libvirt);
    const served = pools.filter(isFilePool).map(async ({ name: pool, folder }) => {
      return { pool, identity: (await observePoolId(folder)) ?? '' };
    });
    return await Promise.all(served);
  } catch {
    return [];
  } finally {
    libvirt.close();
  }
}

function checkPools(pools: readonly Pool[]): Check {
  const usable = pools.filter(({ type }) => filePoolTypes.includes(type));
  if (usable.length > 0) {
    return storage.ok(
      `pools: ${usable.map(({ name, folder }) => `${name} (${folder})`).join(', ')}`,
    );
  }
  const fix = 'blockflow pool add FOLDER, with the folder of your images';
  return storage.fails('no active storage pool of files: nothing may be changed', fix);
}

/**
 * A pool whose file system is not mounted is active all the same: libvirt sees a folder. That may
 * be one of another machine.
 */
async function checkFolders(
  libvirt: Libvirt,
  pools: readonly Pool[],
  stateDir: string,
): Promise<Check[]> {
  const found = pools.filter(isFilePool).map(async ({ name, folder }) => {
    const missing = await missingPool(stateDir, folder);
    if (missing) return [storage.fails(`pool ${name}: ${missing.now}`, missing.next)];
    try {
      const other = await otherMachine(libvirt, folder);
      return other === null
        ? []
        : [libvirtCheck.fails(`pool ${name}: ${other}`, runItThere(other))];
    } catch (error) {
      const fix = 'give the user of the agents rights on the folder, or mount it for writing';
      return [storage.fails(`pool ${name} cannot be written: ${wordsOf(error)}`, fix)];
    }
  });
  return (await Promise.all(found)).flat();
}

/** Its daemon is found by a VM. */
async function checkLeases(libvirt: Libvirt): Promise<Check[]> {
  for (const vm of await libvirt.allDomainXml()) {
    const manager = await lockManagerOf(vm);
    if (!manager) continue;
    const { name, settings } = manager;
    const found = `libvirt leases disks (lock_manager = "${name}"): ${REFUSED_LIVE}`;
    return [libvirtCheck.hint(found, `shut the VM down first, or see D53 about ${settings}`)];
  }
  return [];
}
const REFUSED_LIVE = 'merges of active layers and moves of VMs that run are refused';

/** Only what is wrong is told of each disk; all of them in one line when nothing is. */
async function checkDisks(libvirt: Libvirt, pools: readonly Pool[]): Promise<Check[]> {
  const wrong: Check[] = [];
  const domains = new Map<string, XmlDomain | null>();
  for (const { uuid, name, xml, unread } of await libvirt.allDomainXml()) {
    if (unread !== null) {
      const fix = `${shell`virsh managedsave-remove ${name}`} drops it, with the guest's memory`;
      wrong.push(libvirtCheck.fails(`the saved guest of ${name} cannot be read: ${unread}`, fix));
    }
    // Of each domain the live XML comes first: it names the whole chain.
    if (domains.has(uuid) || xml === null) continue;
    const domain = await readDomain(libvirt, xml).catch((error: unknown) => {
      const fix = `see ${shell`virsh dumpxml ${name}`}; other VMs are not affected`;
      wrong.push(libvirtCheck.fails(`VM ${name} cannot be read: ${reasonOf(error)}`, fix));
      return null;
    });
    domains.set(uuid, domain);
  }
  const outside = new Map<string, string[]>();
  let count = 0;
  for (const domain of domains.values()) {
    if (!domain) continue;
    wrong.push(...(await checkQemu(domain)));
    for (const disk of domain.disks.filter(isWritten)) {
      count += 1;
      for (const { path } of disk.chain) {
        wrong.push(...(await checkRights(`${domain.name}/${disk.target}`, path)));
        const real = await canonical(path);
        if (poolOf(pools, real)) continue;
        const users = outside.get(dirname(real)) ?? [];
        outside.set(dirname(real), [...users, `${domain.name}/${disk.target}`]);
      }
    }
  }
  for (const [folder, users] of outside) {
    const found = `${folder} is in no active pool, but used by ${[...new Set(users)].join(', ')}`;
    const fix = `blockflow pool add ${typed(folder)}`;
    wrong.push({ ...storage.fails(found, fix), poolFolder: folder });
  }
  const all = `${domains.size} VM(s), ${count} disk(s): in pools, images readable and writable`;
  return wrong.length > 0 ? wrong : [storage.ok(all)];
}

/** Only these are merged and moved. */
const isWritten = ({ device, chain, readOnly }: XmlDisk) =>
  device === 'disk' && chain.length > 0 && !readOnly;

async function checkRights(disk: string, path: string): Promise<Check[]> {
  try {
    await access(path, constants.R_OK | constants.W_OK);
    return [];
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const isMissing = code === 'ENOENT' || code === 'ENOTDIR';
    const fix = isMissing
      ? 'restore the file, mount its file system, or detach the disk from the VM'
      : 'run the agents as root, or give their user rights on the image';
    const why = isMissing ? 'does not exist' : `cannot be read and written (${code})`;
    return [storage.fails(`${disk}: ${path} ${why}`, fix)];
  }
}

async function checkQemu({ name, uuid }: XmlDomain): Promise<Check[]> {
  const pid = await findQemu(uuid);
  if (pid === null) return [];
  try {
    await access(`/proc/${pid}/fd`, constants.R_OK | constants.X_OK);
    return [];
  } catch {
    const found = `what QEMU of ${name} has open (/proc/${pid}/fd) cannot be read`;
    return [libvirtCheck.fails(found, 'run the host agent as root or as the user of QEMU')];
  }
}
