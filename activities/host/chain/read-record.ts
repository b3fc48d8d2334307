import { jobRecord, type JobRecord } from '../../../workflows/chain/schemas.ts';
import type { XmlDomain } from '../../adapters/libvirt-xml/domain-xml.ts';

/**
 * The record of the job of a disk; null without one, or with one that this version cannot read. One
 * that came with the XML of another VM, from which this one was made, is none.
 */
export const readRecord = (domain: XmlDomain | null, disk: string): JobRecord | null =>
  recordsOf(domain, disk).find((record) => isOf(record, domain)) ?? null;

/** The one that is another VM's; null without. */
export const copiedRecord = (domain: XmlDomain | null, disk: string): JobRecord | null =>
  recordsOf(domain, disk).find((record) => !isOf(record, domain)) ?? null;

function recordsOf(domain: XmlDomain | null, disk: string): JobRecord[] {
  const readable = (domain?.records ?? []).flatMap((record) => {
    const { success, data } = jobRecord.safeParse(record);
    return success ? [data] : [];
  });
  return readable.filter((record) => record.disk === disk);
}

const isOf = ({ vmUuid }: JobRecord, domain: XmlDomain | null) =>
  vmUuid === undefined || vmUuid === domain?.uuid;
