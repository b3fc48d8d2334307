import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { buildRecord, parseDomain } from '../../../activities/adapters/libvirt-xml/domain-xml.ts';
import { readRecord } from '../../../activities/host/chain/read-record.ts';
import { jobRecord, type JobRecord } from '../../../workflows/chain/schemas.ts';
import { volumePath } from '../../../workflows/operation/names.ts';

/**
 * A domain as libvirt gives a record back: with our prefix on every element, and its own white
 * space.
 */
const domainWith = (record: string) => `<domain type='kvm' id='3'>
  <name>web1</name><uuid>0d4e2a7c-56a4-4f0e-9f3a-0b8a1d3f6c11</uuid>
  <metadata>
    ${record
      .replaceAll(/<(\/?)(job|volume)/g, '<$1blockflow:$2')
      .replace('<blockflow:job', '<blockflow:job xmlns:blockflow="urn:blockflow:job:vda"')}
  </metadata>
  <devices><disk type='file'><source file='/a'/><target dev='vda'/></disk></devices>
</domain>`;

const text = fc
  .string({ unit: 'binary', maxLength: 40 })
  .filter((s) => !/[\p{Cc}\p{Cs}\uFFFE\uFFFF]/u.test(s));
const path = text.map((s) => `/${s}`).filter((s) => volumePath.safeParse(s).success);
const named = fc.record({
  path,
  pool: text,
  identity: fc.tuple(fc.nat(), fc.nat()).map((p) => p.join(':')),
});
const records: fc.Arbitrary<JobRecord> = fc.record({
  jobId: fc.uuid({ version: 4 }),
  workflow: text,
  disk: fc.constantFrom('vda', 'sdb'),
  mode: fc.constantFrom('active', 'inner', 'cold'),
  phase: fc.constantFrom('commit', 'pivot'),
  top: path,
  base: path,
  deletes: fc.array(named, { maxLength: 4 }),
});

describe('the record of a job in the metadata of a domain', () => {
  it('comes back as it was written, for every text in it', () => {
    fc.assert(
      fc.property(records, (record) => {
        expect(parseDomain(domainWith(buildRecord(record))).records).toEqual([record]);
      }),
    );
  });

  const nasty = [']]>', '<!--', '&amp;', '&#65;', '&lt;b&gt;', `"it's"`, ' end ', '%s$1', '日本'];
  it.each(nasty)('comes back with %j in its names', (words) => {
    const record = jobRecord.parse({
      jobId: '3f0c1d2e-8a7b-4c5d-9e6f-001122334455',
      workflow: `${words}/vda`,
      disk: 'vda',
      mode: 'active',
      phase: 'commit',
      top: `/pool/${words}`,
      base: `/${words}`,
      deletes: [{ path: `/pool/${words}`, pool: words, identity: '1:2' }],
    });
    expect(parseDomain(domainWith(buildRecord(record))).records).toEqual([record]);
  });

  it('is told apart from one that this version cannot read', () => {
    const domain = parseDomain(domainWith(`<job id='x' disk='vda'/>`));
    expect(domain.records).toHaveLength(1);
    expect(readRecord(domain, 'vda')).toBeNull();
  });
});

describe('a disk in the XML of a domain', () => {
  const disk = (inside: string, more = '') => {
    const element = `<disk type='file' device='disk'${more}>${inside}<target dev='vda'/></disk>`;
    const xml = `<domain><name>a</name><uuid>u</uuid><devices>${element}</devices></domain>`;
    return parseDomain(xml).disks[0];
  };
  const below = `<backingStore type='file' index='1'><format type='raw'/><source file='/b &amp; c'/>
    <backingStore/></backingStore>`;

  it('has its chain base-most first, with indexes and formats', () => {
    const found = disk(`<driver type='qcow2'/><source file='/a' index='3'/>${below}`);
    expect(found?.chain).toEqual([
      { path: '/b & c', format: 'raw', encrypted: false, index: 1 },
      { path: '/a', format: 'qcow2', encrypted: false, index: 3 },
    ]);
    expect(found).toMatchObject({ readOnly: false, transient: false, mirror: null });
  });

  it('is terminated only by an empty backing store below its last layer', () => {
    expect(disk(`<source file='/a'/>${below}`)?.terminated).toBe(true);
    expect(disk(`<source file='/a'/><backingStore/>`)?.terminated).toBe(true);
    const open = below.replace('<backingStore/>', '');
    const isTerminated = (more: string) => disk(`<source file='/a'/>${more}`)?.terminated;
    expect([open, ''].map(isTerminated)).toEqual([false, false]);
  });

  it('may be as long as libvirt lets it grow, and longer', () => {
    const layers = 300;
    const open = (at: number) =>
      `<backingStore type='file'><format type='qcow2'/><source file='/${at}'/>`;
    const inside = Array.from({ length: layers }, (_, at) => open(at)).join('');
    const nested = `${inside}<backingStore/>${'</backingStore>'.repeat(layers)}`;
    expect(disk(`<source file='/top'/>${nested}`)?.chain).toHaveLength(layers + 1);
  });

  it('is raw where no driver says otherwise', () => {
    const chain = [{ path: '/a', format: 'raw', encrypted: false, index: null }];
    expect(disk(`<source file='/a'/>`)?.chain).toEqual(chain);
  });

  it('is encrypted by a secret in its source, or beside that of the active layer', () => {
    const secret = `<encryption format='luks'/>`;
    const own = `<source file='/a'>${secret}</source>`;
    const format = `<format type='raw'/>`;
    const lower = `<backingStore type='file'>${format}${own}<backingStore/></backingStore>`;
    const which = (inside: string) => disk(inside)?.chain.map(({ encrypted }) => encrypted);
    expect(which(own)).toEqual([true]);
    expect(which(`<source file='/a'/>${secret}`)).toEqual([true]);
    expect(which(`<source file='/top'/>${lower}`)).toEqual([true, false]);
  });

  it('keeps blanks at the end of a name', () => {
    expect(disk(`<source file='/a '/>`)?.chain[0]?.path).toBe('/a ');
  });

  it('is READY only when its mirror says yes', () => {
    const mirror = (ready: string) =>
      disk(`<source file='/a'/><mirror job='active-commit'${ready}><source file='/b'/></mirror>`)
        ?.mirror;
    const copying = { job: 'active-commit', ready: false, ending: null, path: '/b' };
    expect(mirror('')).toEqual(copying);
    expect(mirror(" ready='no'")).toEqual(copying);
    expect(mirror(" ready='yes'")).toEqual({ ...copying, ready: true });
    for (const ending of ['pivot', 'abort'] as const) {
      expect(mirror(` ready='${ending}'`)).toEqual({ ...copying, ending });
    }
  });
});
