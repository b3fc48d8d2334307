/** What a disk loses with its last qcow2 layer. */
import type { XmlDisk } from '../../adapters/libvirt-xml/domain-xml.ts';

export const droppedNotes = (disk: string, { qcow2Only }: XmlDisk): string[] =>
  qcow2Only.map((name) => `disk ${disk} loses ${name}, which a raw image cannot have`);
