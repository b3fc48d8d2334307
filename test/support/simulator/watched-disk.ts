/** A disk with top over base, for activities of a merge that ask a libvirt of strings. */
import type { JobEvent } from '../../../activities/adapters/virsh/job-watch.ts';
import type { HostDeps } from '../../../activities/host/deps.ts';

export const VM = { vmUuid: '11111111-2222-4333-8444-555555555555', vm: 'web1', disk: 'vda' };

/** What a plan says of its ends. */
export const ENDS = { top: { path: '/images/top' }, base: { path: '/images/base' } };

const source = (path: string) => `<source file='${path}' index='1'/>`;
const domain = (disk: string) =>
  `<domain><name>web1</name><uuid>${VM.vmUuid}</uuid><devices><disk type='file' device='disk'>
  <driver type='qcow2'/>${disk}<target dev='vda'/></disk></devices></domain>`;

/** The domain with both layers; while a job runs on them, with its mirror. */
export function layersXml(job: 'none' | 'copying' | 'ready' = 'none'): string {
  const bottom = `<format type='qcow2'/>${source(ENDS.base.path)}`;
  const below = `<backingStore type='file'>${bottom}</backingStore>`;
  const ready = job === 'ready' ? " ready='yes'" : '';
  const mirror = `<mirror job='active-commit'${ready}>${source(ENDS.base.path)}</mirror>`;
  return domain(`${source(ENDS.top.path)}${below}${job === 'none' ? '' : mirror}`);
}

/** The domain whose disk has base alone. */
export const mergedXml = domain(source(ENDS.base.path));

/** A watch that hears what the test tells it. */
export function createToldWatch() {
  let listener: ((event: JobEvent) => void) | null = null;
  const watch: HostDeps['watch'] = {
    subscribe(_disk, to) {
      listener = to;
      return () => (listener = null);
    },
    close: () => undefined,
  };
  return {
    watch,
    tell: (event: JobEvent) => listener?.(event),
    isWatching: () => listener !== null,
  };
}
