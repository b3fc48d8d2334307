import { describe, expect, it } from '@jest/globals';
import { parseEvent } from '../../../activities/adapters/virsh/job-watch.ts';

describe('a line of `virsh event`', () => {
  const job = (vm: string, disk: string, status: string) => {
    return { kind: 'block-job', vm, disk, status };
  };
  const lines: [string, unknown][] = [
    [
      "event 'block-job-2' for domain 'web1': Active Block Commit for vda ready",
      job('web1', 'vda', 'ready'),
    ],
    [
      "event 'block-job-2' for domain 'web1': Block Commit for sdb completed",
      job('web1', 'sdb', 'completed'),
    ],
    [
      "event 'block-job-2' for domain 'it's': 7': Block Copy for vda failed",
      job("it's': 7", 'vda', 'failed'),
    ],
    [
      "event 'lifecycle' for domain 'two words': Stopped Failed",
      { kind: 'lifecycle', vm: 'two words', detail: 'Stopped Failed' },
    ],
    // Names the disk by its source path: the event that libvirt advises against.
    ["event 'block-job' for domain 'web1': Active Block Commit for /pool/a ready", null],
    ["event 'metadata-change' for domain 'web1': element urn:x", null],
    ['events received: 3', null],
    ['', null],
  ];
  it.each(lines)('%j', (line, event) => {
    expect(parseEvent(line)).toEqual(event);
  });
});
