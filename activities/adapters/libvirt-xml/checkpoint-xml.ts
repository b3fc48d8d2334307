/** Reads what blockflow needs from the document of a libvirt checkpoint. */
import { allOf, onlyOf, readXml } from './xml.ts';

/** Targets of the disks in which it has a dirty bitmap. */
export function disksWithBitmap(xml: string): string[] {
  const disks = onlyOf(onlyOf(readXml(xml, 'domaincheckpoint'), 'domaincheckpoint'), 'disks');
  return allOf(disks, 'disk').flatMap(({ attributes: { name, checkpoint } }) =>
    name !== undefined && checkpoint === 'bitmap' ? [name] : [],
  );
}
