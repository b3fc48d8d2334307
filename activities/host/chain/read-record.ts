import { jobRecord, type JobRecord } from '../../../workflows/chain/schemas.ts';
import type { XmlDomain } from '../../adapters/libvirt-xml/domain-xml.ts';

/** The record of the job of a disk; null without one, or with one that this version cannot read. */
export function readRecord(domain: XmlDomain | null, disk: string): JobRecord | null {
  const readable = (domain?.records ?? []).flatMap((record) => {
    const { success, data } = jobRecord.safeParse(record);
    return success ? [data] : [];
  });
  return readable.find((record) => record.disk === disk) ?? null;
}
