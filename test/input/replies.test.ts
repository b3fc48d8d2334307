/**
 * Spoilt replies of libvirt, QEMU and qemu-img, made from recorded ones (`record-replies.ts`): each
 * is read as what it says, or nothing is concluded from it. What is read of a spoilt reply must
 * still be possible: no NaN, no READY that QEMU never sent, no chain that ends early.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { diskElement, diskSource } from '../../activities/adapters/libvirt-xml/disk-element.ts';
import { parseDomain } from '../../activities/adapters/libvirt-xml/domain-xml.ts';
import { filesNamed } from '../../activities/adapters/libvirt-xml/named-files.ts';
import { parseExtents } from '../../activities/adapters/qemu-img/compare.ts';
import { parseCopy } from '../../activities/adapters/copying-daemon/daemon.ts';
import { parseEvent } from '../../activities/adapters/virsh/job-watch.ts';
import { parsePool } from '../../activities/adapters/virsh/pools.ts';
import { parseHeader } from '../../activities/adapters/qemu-img/qemu-img.ts';
import { parseMessage } from '../../activities/adapters/copying-daemon/qmp.ts';
import { parseSnapshot, sourcesOf } from '../../activities/adapters/libvirt-xml/snapshot-xml.ts';
import { parseJob, parseJobs } from '../../activities/adapters/virsh/jobs.ts';
import { readJson } from '../../activities/adapters/reply.ts';
import { parseInfo, parseUuids, parseVms } from '../../activities/adapters/virsh/domains.ts';
import { failureDetails } from '../../workflows/operation/failures.ts';
import { seed } from '../support/sample.ts';
import { createChance } from './hostile.ts';
import { spoil } from './spoilt-replies.ts';

const REPLIES = 1500;
const reply = (name: string) =>
  readFileSync(new URL(`replies/${name}`, import.meta.url), 'utf8').replace(/\n$/, '');
const lines = (name: string) => reply(name).split('\n');

/** Every number of bytes in what was read; fractions are times in XML that no code reads. */
function impossible(value: unknown): string[] {
  if (typeof value === 'number') {
    return Number.isSafeInteger(value) && value >= 0 ? [] : [String(value)];
  }
  if (typeof value === 'string') return value.includes('undefined') ? [value] : [];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap(impossible);
}

interface Parser {
  what: string;
  texts: string[];
  read: (text: string) => unknown;
}
const qmpAnswers = lines('qmp.txt').filter((line) => line.startsWith('{"return": ['));
const returned = (line: string) => (JSON.parse(line) as { return: unknown }).return;
const parsers: Parser[] = [
  {
    what: 'a domain',
    texts: ['live', 'ready', 'inactive'].map((state) => reply(`domain-${state}.xml`)),
    read: parseDomain,
  },
  {
    what: 'the files of a domain',
    texts: [reply('domain-live.xml')],
    read: (xml) => [...filesNamed(xml, 'domain', { pools: [] }).paths],
  },
  {
    what: 'the element of a disk',
    texts: [reply('domain-inactive.xml')],
    read: (text) => diskSource(diskElement(text, 'vda')),
  },
  {
    what: 'a snapshot',
    texts: [reply('snapshot.xml')],
    read: (text) => ({ ...parseSnapshot(text), root: sourcesOf(parseSnapshot(text)) }),
  },
  { what: 'a pool', texts: [reply('pool.xml')], read: parsePool },
  { what: 'a block job', texts: [reply('blockjob.txt')], read: parseJob },
  { what: 'the state of a VM', texts: [reply('dominfo.txt')], read: parseInfo },
  { what: 'the list of VMs', texts: [reply('list.txt')], read: parseVms },
  { what: 'the list of pools', texts: [reply('pool-list.txt')], read: parseUuids },
  {
    what: 'the jobs of several disks',
    texts: [`@\nrunning\n\n${reply('blockjob.txt')}\n@\nshut off\n\nerror: not running\n`],
    read: (text) => parseJobs(text, 2),
  },
  { what: 'an event', texts: lines('events.txt'), read: parseEvent },
  {
    what: 'a header',
    texts: [reply('info.json')],
    read: (text) => parseHeader(text, '/x', 'qcow2'),
  },
  {
    what: 'the extents of a file',
    texts: [reply('map.json')],
    read: (text) => parseExtents(text, '/x'),
  },
  {
    what: 'the jobs of a copy',
    texts: [JSON.stringify(qmpAnswers.map(returned))],
    read: (text) => parseCopy(readJson('QEMU', text) as unknown[], 'copy-0'),
  },
  {
    what: 'a message of QMP',
    texts: lines('qmp.txt'),
    // Only what kind of message it is: its content is for the caller.
    read: (text) => Object.keys(parseMessage('socket', text)),
  },
];

/** What was read; null when it was refused as it should be. */
async function readOrRefuse(read: Parser['read'], text: string): Promise<unknown> {
  try {
    return (await read(text)) ?? 'nothing';
  } catch (error) {
    if (failureDetails(error)?.details.code === 'unexpected-reply') return null;
    throw new Error(`BLOCKFLOW_SEED=${seed}: ${String(error)} of ${text}`, { cause: error });
  }
}

describe.each(parsers)('A reply about $what', ({ texts, read }) => {
  it('is read when it is whole', async () => {
    for (const text of texts) expect(await readOrRefuse(read, text)).not.toBeNull();
  });

  it(`is read as something possible or refused, spoilt in ${REPLIES} ways`, async () => {
    const chance = createChance(seed);
    for (let n = 0; n < REPLIES; n++) {
      const text = spoil(chance.pick(texts), chance);
      const found = await readOrRefuse(read, text);
      const faults = impossible(found);
      const said = `BLOCKFLOW_SEED=${seed}: ${String(faults)} of ${text}`;
      if (faults.length > 0) throw new Error(said);
    }
  });
});

const refused = (read: () => unknown) => expect(read).toThrow(/nothing was concluded/);
const cuts = (text: string) => Array.from({ length: text.length }, (_, at) => text.slice(0, at));

describe('What would be a guess', () => {
  it('is made of no document or number that is cut off, wherever', () => {
    const domain = reply('domain-live.xml');
    for (const cut of cuts(domain).filter((_, at) => at % 5 === 0)) refused(() => parseDomain(cut));
    for (const cut of cuts(reply('info.json'))) refused(() => parseHeader(cut, '/x', 'qcow2'));
    for (const cut of cuts(reply('map.json'))) refused(() => parseExtents(cut, '/x'));
    // What is cut within its last number is still a number: only the others are found out.
    const job = reply('blockjob.txt');
    const whole = job.lastIndexOf('=') + 2;
    for (const cut of cuts(job).slice(2, whole)) refused(() => parseJob(cut));
  });

  it('is not that a VM is off because its state is a new word, or none', () => {
    const info = reply('dominfo.txt');
    expect(parseInfo(info)).toMatchObject({ state: 'running', persistent: true });
    for (const word of ['', 'dormant', 'error: Disconnected', 'shutting down', 'RUNNING']) {
      refused(() => parseInfo(info.replace(/running \(booted\)$/, word)));
    }
    refused(() => parseInfo(info.replace(/^Persistent.*\n/m, '')));
    refused(() => parseInfo(info.replace(/^Managed save.*\n/m, '')));
    refused(() => parseInfo(info.replace(/^(Managed save: +)no$/m, '$1unknown')));
  });

  it('is not READY by numbers, nor by a foreign mirror', () => {
    const ready = (xml: string) => parseDomain(xml).disks[0]?.mirror;
    const xml = reply('domain-ready.xml');
    expect(ready(xml)).toMatchObject({ ready: true, job: 'active-commit' });
    expect(ready(xml.replace("ready='yes'", ''))).toMatchObject({ ready: false });
    expect(ready(xml.replace("ready='yes'", "ready='abort'"))).toMatchObject({ ready: false });
    refused(() => ready(xml.replace("ready='yes'", "ready='maybe'")));
    refused(() => ready(xml.replace("job='active-commit'", "job='passive'")));
  });

  it('is not that a chain ends where its source is missing, or is there twice', () => {
    const xml = reply('domain-live.xml');
    const [below = ''] = /<source file='[^']*snäp1[^']*'\/>/.exec(xml) ?? [];
    expect(parseDomain(xml).disks[0]?.chain).toHaveLength(3);
    refused(() => parseDomain(xml.replace(below, '')));
    refused(() => parseDomain(xml.replace(below, `${below}${below}`)));
    refused(() => parseDomain(xml.replace(/<disk .*<\/disk>/s, (disk) => disk + disk)));
    const info = reply('info.json');
    refused(() => parseHeader(info.replace(/,\s*"backing-filename": "[^"]*"/, ''), '/x', 'qcow2'));
    refused(() => parseHeader(info.replace('"format": "qcow2"', '"format": "raw"'), '/x', 'qcow2'));
  });

  it('is not that a file holds no data where the map says nothing', () => {
    const whole = JSON.parse(reply('map.json')) as object[];
    for (let at = 0; at < whole.length - 1; at++) {
      refused(() => parseExtents(JSON.stringify(whole.toSpliced(at, 1)), '/x'));
    }
    refused(() => parseExtents(JSON.stringify([...whole].reverse()), '/x'));
  });

  it('is not that a copy is complete by a word that QEMU does not have', () => {
    const answers = qmpAnswers.map(returned);
    expect(parseCopy(answers, 'copy-0')).toMatchObject({ status: 'running', noSpace: false });
    expect(parseCopy(answers, 'copy-1')).toBeNull();
    const spoilt = (from: string, to: string) =>
      JSON.parse(JSON.stringify(answers).replace(from, to)) as unknown[];
    refused(() => parseCopy(spoilt('"running"', '"done"'), 'copy-0'));
    refused(() => parseCopy(spoilt('"total-progress":', '"total":'), 'copy-0'));
    refused(() => parseCopy(spoilt('"current-progress":0', '"current-progress":-1'), 'copy-0'));
    refused(() => parseCopy([{}, []], 'copy-0'));
  });

  it('is no record of a job with other names than those that were written', () => {
    const [record] = parseDomain(reply('domain-live.xml')).records;
    // libvirt writes what is not ASCII as references there, and as it is elsewhere.
    expect(record?.deletes.map(({ path }) => path)).toEqual([
      '/pools/images/web1-snäp1.qcow2',
      '/pools/images/web1-snap2.qcow2',
    ]);
  });
});
