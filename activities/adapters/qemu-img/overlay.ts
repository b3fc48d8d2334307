/** Empty overlays: what libvirt would make for a snapshot, made and looked at by us. */
import { CommandError, run } from '../process/command.ts';
import { readHeader } from './qemu-img.ts';

export interface OverlayShape {
  backing: { name: string; format: string };
  virtualSizeBytes: number;
  /** Null for QEMU's default. */
  clusterBytes: number | null;
  extendedL2: boolean;
}

/**
 * Makes a qcow2 file that holds nothing of its own. The backing file is not opened: its name counts
 * from where the overlay will be.
 */
export async function createOverlay(path: string, shape: OverlayShape): Promise<void> {
  const { backing, virtualSizeBytes, clusterBytes, extendedL2 } = shape;
  const options = [
    ...(clusterBytes === null ? [] : [`cluster_size=${clusterBytes}`]),
    ...(extendedL2 ? ['extended_l2=on'] : []),
  ];
  await run('qemu-img', [
    ...['create', '-q', '-f', 'qcow2', '-u', '-b', backing.name, '-F', backing.format],
    ...(options.length > 0 ? ['-o', options.join(',')] : []),
    ...[path, String(virtualSizeBytes)],
  ]);
}

/** What is wrong with its header, in words; null when nothing is. libvirt looks at none of it. */
export async function overlayFault(path: string, shape: OverlayShape): Promise<string | null> {
  const header = await readHeader(path, 'qcow2').catch((error: unknown) => {
    if (error instanceof CommandError) return error.stderr;
    throw error;
  });
  if (typeof header === 'string') return header;
  const { backingName, backingFormat, virtualSizeBytes } = header;
  const found = [backingName, backingFormat, virtualSizeBytes].join(', ');
  const wanted = [shape.backing.name, shape.backing.format, shape.virtualSizeBytes].join(', ');
  return found === wanted ? null : `its header has ${found}, not ${wanted}`;
}
