/** The XML of a VM is copied with all that is in it, so a record says whose it is. */
import { expect, it } from '@jest/globals';
import { buildRecord, parseDomain } from '../../../activities/adapters/libvirt-xml/domain-xml.ts';
import { copiedRecord, readRecord } from '../../../activities/host/chain/read-record.ts';

const [OWN, OTHER] = [
  '11111111-2222-4333-8444-555555555555',
  '22222222-2222-4333-8444-555555555555',
];
const record = {
  jobId: '33333333-2222-4333-8444-555555555555',
  workflow: 'web/vda',
  disk: 'vda',
  mode: 'active' as const,
  phase: 'pivot' as const,
  top: '/pools/images/top.qcow2',
  base: '/pools/images/base.qcow2',
  deletes: [{ path: '/pools/images/top.qcow2', pool: 'images', identity: '1:2' }],
};

const domainWith = (more: { vmUuid?: string }) => {
  const job = buildRecord({ ...record, ...more }).replace('<job', '<job xmlns:blockflow="urn:b"');
  const named = job.replaceAll(/(<[/]?)(job|volume)/g, '$1blockflow:$2');
  const metadata = `<metadata>${named}</metadata>`;
  return parseDomain(
    `<domain><name>web</name><uuid>${OWN}</uuid>${metadata}<devices/></domain>`,
    [],
  );
};

it.each([
  ['its own', { vmUuid: OWN }],
  ['one of an earlier version', {}],
])('a VM has %s', (_, more) => {
  const domain = domainWith(more);
  expect(readRecord(domain, 'vda')).toEqual({ ...record, ...more });
  expect(copiedRecord(domain, 'vda')).toBeNull();
});

it("a VM that was made from another one's XML has none, and that is seen", () => {
  const domain = domainWith({ vmUuid: OTHER });
  expect(readRecord(domain, 'vda')).toBeNull();
  expect(copiedRecord(domain, 'vda')).toEqual({ ...record, vmUuid: OTHER });
});
