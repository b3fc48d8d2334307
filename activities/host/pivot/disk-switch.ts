/** A disk that a block job takes from one active layer to another one. */

interface LayerFile {
  path: string;
  identity: string;
}

export interface DiskSwitch {
  /** The operation, for messages. */
  attempted: string;
  vm: string;
  vmUuid: string;
  disk: string;
  /** Whether there is a persistent XML with this disk. */
  persistent: boolean;
  /** The kind of job, in the words of libvirt's `<mirror>`. */
  job: 'active-commit' | 'copy';
  /** The active layer before, and after. */
  from: LayerFile;
  to: LayerFile & { format: string };
  /**
   * What becomes of the files that the record names: null for one that leaves it, undefined for one
   * that stays.
   */
  nameOf: (path: string) => string | null | undefined;
}

export const vmOf = ({ vm: name, vmUuid: uuid }: Pick<DiskSwitch, 'vm' | 'vmUuid'>) => ({
  name,
  uuid,
});
