/**
 * Watches block jobs for all operations of an agent: one `virsh event` process for what happens,
 * one batched question a VM and tick for progress and as a safety net, since events are never
 * replayed (docs/lab/libvirt.md).
 */
import { EventEmitter } from 'node:events';
import { createInterface } from 'node:readline';
import { execa } from 'execa';
import { childEnvironment } from '../process/environment.ts';
import type { JobReading } from './jobs.ts';
import type { GuestState, Libvirt } from './domains.ts';

export type JobEvent =
  | { kind: 'block-job'; vm: string; disk: string; status: string }
  | { kind: 'lifecycle'; vm: string; detail: string }
  /** libvirtd did not answer the safety net's question. */
  | { kind: 'silence'; uuid: string; disk: string; reason: string }
  /** The safety net's reading; also the first answer after (re)connecting. */
  | { kind: 'sample'; uuid: string; disk: string; state: GuestState; job: JobSample | null };
export type JobSample = JobReading;

interface Watched {
  uuid: string;
  vm: string;
  disk: string;
}

export interface JobWatch {
  /** Calls `listener` for every event of this disk until the returned function is called. */
  subscribe(disk: Watched, listener: (event: JobEvent) => void): () => void;
  close(): void;
}

/**
 * Time between two questions for progress: each second for a few disks, less often for many, so
 * that 100 waiting operations cost the agent as little as one does; always shorter than the
 * heartbeat time-out.
 */
const tickMs = (disks: number) => Math.min(4000, 1000 + 30 * disks);

export function createJobWatch(libvirt: Libvirt): JobWatch {
  const events = new EventEmitter().setMaxListeners(0);
  const watched = new Set<Watched>();
  /** VMs that have been asked about and not been answered, since when. */
  const asked = new Map<string, number>();
  const emit = (event: JobEvent) => void events.emit('event', event);
  let closed = false;
  let ticking = false;

  const stopEvents = followEvents(libvirt.uri, emit);

  // One question a VM: a QEMU that hangs keeps its own operation waiting, and no other one.
  const ask = (uuid: string, disks: Watched[]) => {
    const sinceMs = asked.get(uuid);
    if (sinceMs !== undefined) return disks.forEach((disk) => emit(silenceOf(disk, sinceMs)));
    asked.set(uuid, Date.now());
    void sample(libvirt, disks, emit).finally(() => asked.delete(uuid));
  };
  const tick = async () => {
    ticking = true;
    while (watched.size > 0 && !closed) {
      for (const [uuid, disks] of Map.groupBy(watched, (disk) => disk.uuid)) ask(uuid, disks);
      await new Promise((done) => setTimeout(done, tickMs(watched.size)).unref());
    }
    ticking = false;
  };

  return {
    subscribe(disk, listener) {
      const own = (event: JobEvent) => {
        const mine =
          event.kind === 'sample' || event.kind === 'silence'
            ? event.uuid === disk.uuid && event.disk === disk.disk
            : event.vm === disk.vm && (event.kind === 'lifecycle' || event.disk === disk.disk);
        if (mine) listener(event);
      };
      watched.add(disk);
      events.on('event', own);
      if (!ticking) void tick();
      return () => {
        watched.delete(disk);
        events.off('event', own);
      };
    },
    close() {
      closed = true;
      stopEvents();
    },
  };
}

/** Also tells the server that the wait itself goes on. */
function silenceOf({ uuid, disk, vm }: Watched, sinceMs: number): JobEvent {
  const seconds = Math.round((Date.now() - sinceMs) / 1000);
  const reason = `libvirt has not answered for ${seconds} s about the job of ${vm}`;
  return { kind: 'silence', uuid, disk, reason };
}

async function sample(libvirt: Libvirt, disks: Watched[], emit: (event: JobEvent) => void) {
  const answers = await libvirt.blockJobs(disks).catch((error: unknown) => String(error));
  disks.forEach(({ uuid, disk }, i) => {
    if (typeof answers === 'string') return emit({ kind: 'silence', uuid, disk, reason: answers });
    const answer = answers[i];
    if (!answer) return;
    if ('reason' in answer) emit({ kind: 'silence', uuid, disk, ...answer });
    else emit({ kind: 'sample', uuid, disk, ...answer });
  });
}

/**
 * One `virsh event` for the agent's life; it ends with libvirtd, and is started again until closed.
 */
function followEvents(uri: string, emit: (event: JobEvent) => void): () => void {
  const stop = new AbortController();
  // It would stay until libvirt's next event when its agent is killed.
  const watch = ['virsh', '-q', '-c', uri, 'event', '--all', '--loop'];
  const loop = async () => {
    while (!stop.signal.aborted) {
      const child = execa('setpriv', ['--pdeathsig', 'KILL', ...watch], {
        env: childEnvironment({ LC_ALL: 'C' }),
        extendEnv: false,
        stdin: 'ignore',
        stderr: 'ignore',
        buffer: false,
        reject: false,
        cancelSignal: stop.signal,
      });
      createInterface({ input: child.stdout }).on('line', (line) => {
        const event = parseEvent(line);
        if (event) emit(event);
      });
      await child;
      if (!stop.signal.aborted) await new Promise((done) => setTimeout(done, 500).unref());
    }
  };
  void loop();
  return () => stop.abort();
}

/** Parses a line of `virsh event`, null for events that say nothing about block jobs. */
export function parseEvent(line: string): JobEvent | null {
  const match = /^event '([a-z0-9-]+)' for domain '(.*)': (.*)$/.exec(line);
  if (!match) return null;
  const [, name, vm, text] = match as unknown as [string, string, string, string];
  if (name === 'lifecycle') return { kind: 'lifecycle', vm, detail: text };
  if (name !== 'block-job-2') return null;
  const job = /^.* for (\S+) (\w+)$/.exec(text);
  return job ? { kind: 'block-job', vm, disk: job[1] as string, status: job[2] as string } : null;
}
