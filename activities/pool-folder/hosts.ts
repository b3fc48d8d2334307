/**
 * Which hosts share a pool. Each host agent leaves its host's name in `POOL/.blockflow/hosts/`, and
 * no agent removes it: a host that is down may still have VMs on the pool. When you retire
 * a host, remove its file.
 */
import { join } from 'node:path';
import { hostName } from '../../workflows/operation/names.ts';
import { listFolder, readText, writeWhole } from '../adapters/files/files.ts';
import { nullIfMissing } from '../adapters/files/paths.ts';
import { ensureOwnedFolder } from '../adapters/files/owned-folder.ts';
import { ensureOwnFolder, OWN_FOLDER } from './own-folder.ts';

const hostsFolder = (poolFolder: string) => join(poolFolder, OWN_FOLDER, 'hosts');

/** A host as its agent knows it. */
interface Host {
  host: string;
  /** Id of its machine. */
  machine: string;
  /**
   * Id of the Temporal namespace that its agents work for, empty where they may not see it: who
   * works for another one cannot be asked.
   */
  installation: string;
}

/** What to do about two installations that share a pool. */
export const ONE_INSTALLATION =
  'Let the agents of all hosts of a pool work for one Temporal namespace; start them again there ' +
  'when that namespace is a new one. If that host is gone for good, remove that file';

/** What to do about two hosts of one name. */
export const OTHER_NAME =
  'Start the agents of one of the two with another name (--host, BLOCKFLOW_HOST); if that ' +
  'machine is gone for good, or this one was installed again, remove that file';

/** Another machine has this host's name. */
export class NameTaken extends Error {
  override readonly name = 'NameTaken';
}

/** @returns the words about another machine of this host's name; null when there is none */
export async function namesakeIn(
  poolFolder: string,
  { host, machine }: Pick<Host, 'host' | 'machine'>,
): Promise<string | null> {
  const { file, machine: known } = await readHost(poolFolder, host);
  // Earlier versions wrote no id.
  if (known === '' || known === machine) return null;
  return `${file} says that machine ${known} is called ${host}, and this one is ${machine}`;
}

/** Lines of its file; earlier versions wrote fewer. */
async function readHost(poolFolder: string, host: string) {
  const file = join(hostsFolder(poolFolder), host);
  const text = (await readText(file).catch(nullIfMissing)) ?? '';
  const [machine = '', installation = ''] = text.trim().split('\n');
  return { file, machine, installation };
}

/** @returns the words about one of them that works for another namespace; null without one */
export async function strangerIn(
  poolFolder: string,
  hosts: readonly string[],
  own: Pick<Host, 'host' | 'installation'>,
): Promise<string | null> {
  if (own.installation === '') return null;
  for (const host of hosts) {
    const { file, installation } = await readHost(poolFolder, host);
    if (host === own.host || ['', own.installation].includes(installation)) continue;
    return (
      `${file} says that the agents of ${host} work for another installation (namespace ` +
      `${installation}, here ${own.installation})`
    );
  }
  return null;
}

/**
 * Durable when it returns. Nothing happens when the name is there, with these ids.
 * @throws NameTaken
 */
export async function registerHost(poolFolder: string, own: Host): Promise<void> {
  const folder = hostsFolder(poolFolder);
  const file = join(folder, own.host);
  const text = `${own.machine}\n${own.installation}`.trimEnd();
  const before = await readText(file).catch(nullIfMissing);
  if (before?.trim() === text) return;
  await assertOwnName(poolFolder, own);
  await ensureOwnFolder(poolFolder);
  await ensureOwnedFolder(folder, 0o700);
  const ifThere = before === null ? 'keep' : 'replace';
  await writeWhole(file, `${text}\n`, { ifThere, mode: 0o600 });
  // An agent of another machine may have been faster.
  await assertOwnName(poolFolder, own);
}

/** @throws NameTaken when the pool says that another machine has this host's name */
export async function assertOwnName(
  poolFolder: string,
  own: Pick<Host, 'host' | 'machine'>,
): Promise<void> {
  const namesake = await namesakeIn(poolFolder, own);
  if (namesake !== null) throw new NameTaken(`${namesake}. ${OTHER_NAME}`);
}

/** The hosts that have or had this pool. */
export async function observeHosts(poolFolder: string): Promise<string[]> {
  const names = await listFolder(hostsFolder(poolFolder));
  // On NFS a file that is removed while it is open leaves another name for a while.
  return names.filter((name) => hostName.safeParse(name).success).sort();
}
