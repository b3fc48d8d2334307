/**
 * Whether libvirt and this process see the same files. A connection to another machine, or to a
 * daemon with mounts of its own, has files of the same names: local ones would be changed and
 * deleted for a record that is elsewhere.
 */
import { withProbe } from './probes.ts';

/** What libvirt says of an empty file. */
export interface FileSight {
  isSeen: boolean;
  /** libvirt's own words. */
  words: string;
}
interface Seeing {
  uri: string;
  sightOf(emptyFile: string): Promise<FileSight>;
}

/**
 * Makes a file of a random name in the pool's folder, asks libvirt for it, and removes it. Names,
 * URIs and copies of the pool prove nothing.
 * @returns null when libvirt sees this machine's folder; else what it says instead
 * @throws of the file system
 */
export async function otherMachine(libvirt: Seeing, folder: string): Promise<string | null> {
  const { isSeen, words } = await withProbe(folder, (probe) => libvirt.sightOf(probe));
  if (isSeen) return null;
  const where = `${folder} (${words})`;
  return `libvirt at ${libvirt.uri} does not see the files of this machine in ${where}`;
}

/** @param other what `otherMachine` said */
export const runItThere = (other: string) =>
  /Permission denied/.test(other)
    ? 'That libvirt is of a user who may not enter that folder: run the agents as that user'
    : 'That libvirt is on another machine, or has mounts of its own: run the agents where it runs';
