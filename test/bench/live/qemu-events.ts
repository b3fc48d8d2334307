/** What the QEMU of a VM says, with its own times. */
import { createInterface } from 'node:readline';
import { execa } from 'execa';
import { waitUntil } from '../../support/wait-until.ts';
import type { PrivateHost } from '../../support/host/private-host.ts';

export interface QemuEvent {
  name: string;
  /** Of QEMU's clock. */
  atMs: number;
  data: string;
}

export interface QemuEvents {
  /** All since the beginning, in order. */
  readonly seen: readonly QemuEvent[];
  /** Waits until one that comes after the first `from` of them satisfies `look`. */
  until(what: string, from: number, look: (event: QemuEvent) => boolean): Promise<QemuEvent>;
  stop(): Promise<void>;
}

/** @param names the events that are listened for, as a regular expression */
export function listenToQemu(host: PrivateHost, vm: string, names: string): QemuEvents {
  const options = ['--domain', vm, '--event', names, '--regex', '--loop'];
  const listener = execa('virsh', ['-c', host.uri, 'qemu-monitor-event', ...options], {
    reject: false,
    buffer: false,
  });
  const seen: QemuEvent[] = [];
  createInterface({ input: listener.stdout }).on('line', (line) => {
    const [, name, atSeconds, data = ''] =
      /^event (\S+) at (\S+) for domain .*?: (.*)$/.exec(line) ?? [];
    if (name !== undefined) seen.push({ name, atMs: Number(atSeconds) * 1000, data });
  });
  return {
    seen,
    until: (what, from, look) =>
      waitUntil(what, () => seen.slice(from).find(look), { timeoutMs: 120_000, intervalMs: 2 }),
    async stop() {
      listener.kill();
      await listener;
    },
  };
}
