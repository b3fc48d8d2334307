/**
 * A guest with a guest agent that a test plays: a small Linux passes the agent's channel on to a
 * socket of the host (libvirt talks to an agent only once a guest has opened its port).
 */
import { connect, type Socket } from 'node:net';
import { chmod, copyFile, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import type { System } from '../host/system.ts';
import { waitUntil } from '../wait-until.ts';

const LINUX = 'node_modules/.linux-guest';
/** In the order in which they need each other; the rest is built in. */
const MODULES = [
  'virtio/virtio_ring',
  'virtio/virtio',
  'virtio/virtio_pci_modern_dev',
  'virtio/virtio_pci_legacy_dev',
  'virtio/virtio_pci',
  'char/virtio_console',
];

const INIT = `#!/bin/busybox sh
/bin/busybox --install -s /bin
mkdir -p /proc /sys /dev
mount -t devtmpfs dev /dev; mount -t sysfs sys /sys; mount -t proc proc /proc
for m in ${MODULES.map((name) => name.replace(/.*\//, '')).join(' ')}; do insmod /$m.ko; done
port() { for p in *; do grep -qx "$1" $p/name && echo /dev/$p; done; }
until cd /sys/class/virtio-ports; do usleep 100000; done
until [ "$(port org.qemu.guest_agent.0)" ] && [ "$(port bridge.0)" ]; do usleep 100000; done
exec 3<>$(port org.qemu.guest_agent.0) 4<>$(port bridge.0)
while :; do cat <&3 >&4; usleep 50000; done &
while :; do cat <&4 >&3; usleep 50000; done &
echo bridged >/dev/ttyS0
while :; do sleep 1000; done
`;

/** Makes the initial RAM disk. */
async function makeInitrd(folder: string): Promise<string> {
  const tree = join(folder, 'initrd');
  await mkdir(join(tree, 'bin'), { recursive: true });
  await copyFile(join(LINUX, 'bin/busybox'), join(tree, 'bin/busybox'));
  const [version = ''] = await readdir(join(LINUX, 'lib/modules'));
  for (const name of MODULES) {
    const file = `${name.replace(/.*\//, '')}.ko`;
    const from = join(LINUX, 'lib/modules', version, 'kernel/drivers', `${name}.ko`);
    await copyFile(from, join(tree, file));
  }
  await writeFile(join(tree, 'init'), INIT);
  await chmod(join(tree, 'init'), 0o755);
  const image = join(folder, 'initrd.cpio');
  const pack = 'find . | "$0" cpio -o -H newc >"$1"';
  const busybox = join(process.cwd(), LINUX, 'bin/busybox');
  await execa('sh', ['-c', pack, busybox, image], { cwd: tree });
  return image;
}

/** What the agent does when it is told to freeze. */
export type Freezing = 'freezes' | 'refuses' | 'hangs' | 'is slow';
/** Longer than libvirt waits; meanwhile it hears nothing. */
const SLOW_MS = 12_000;

export interface AgentGuest {
  name: string;
  /** Commands that it was given, but for those that only look; in order. */
  heard: string[];
  isFrozen(): boolean;
  /** From now on; at first it freezes. */
  behave(freezing: Freezing): void;
  close(): void;
}

/** Defines and starts a VM with these disks (`<disk>` elements), and plays its agent. */
export async function startAgentGuest(
  system: System,
  name: string,
  disks: string,
): Promise<AgentGuest> {
  const folder = join(system.host.root, `${name}-linux`);
  await mkdir(folder, { recursive: true });
  const boot = await readdir(join(LINUX, 'boot'));
  const kernel = boot.find((file) => file.startsWith('vmlinuz')) ?? '';
  // QEMU's user has to read it, and may not be let into the folder of this clone.
  await copyFile(join(LINUX, 'boot', kernel), join(folder, kernel));
  const bridge = join(folder, 'bridge');
  const xml = `<domain type='qemu'>
  <name>${name}</name><memory unit='MiB'>192</memory><vcpu>1</vcpu>
  <os><type arch='x86_64' machine='pc'>hvm</type>
    <kernel>${join(folder, kernel)}</kernel>
    <initrd>${await makeInitrd(folder)}</initrd>
    <cmdline>console=ttyS0 quiet panic=1</cmdline></os>
  <features><acpi/></features>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>${disks}
    <controller type='usb' model='none'/>
    <serial type='file'><source path='${join(folder, 'serial')}'/><target port='0'/></serial>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <channel type='unix'><source mode='bind' path='${bridge}'/>
      <target type='virtio' name='bridge.0'/></channel>
    <memballoon model='none'/>
  </devices>
</domain>`;
  await writeFile(join(folder, 'domain.xml'), xml);
  await system.host.virsh('define', join(folder, 'domain.xml'));
  await system.host.virsh('start', name);
  const agent = playAgent(name, connect(bridge));
  await waitUntil(
    'libvirt to see the agent',
    async () => (await system.host.virsh('dumpxml', name)).includes("state='connected'"),
    { timeoutMs: 90_000 },
  );
  return agent;
}

function playAgent(name: string, socket: Socket): AgentGuest {
  let isFrozen = false;
  let freezing: Freezing = 'freezes';
  const agent: AgentGuest = {
    name,
    heard: [],
    behave: (how) => void (freezing = how),
    isFrozen: () => isFrozen,
    close: () => socket.destroy(),
  };
  const answer = (reply: object) => void socket.write(`${JSON.stringify(reply)}\n`);
  const error = (desc: string) => answer({ error: { class: 'GenericError', desc } });
  const obey = ({ execute, arguments: given }: Command) => {
    if (execute === 'guest-sync') return answer({ return: given?.id });
    agent.heard.push(execute);
    switch (execute) {
      case 'guest-fsfreeze-freeze':
        if (freezing === 'refuses') return error('a file system cannot be frozen');
        isFrozen = true;
        return freezing === 'hangs' ? undefined : answer({ return: 2 });
      case 'guest-fsfreeze-thaw': {
        const thawed = isFrozen ? 2 : 0;
        isFrozen = false;
        return answer({ return: thawed });
      }
      case 'guest-fsfreeze-status':
        return answer({ return: isFrozen ? 'frozen' : 'thawed' });
      default:
        return error(`no ${execute} here`);
    }
  };
  let text = '';
  let isBusy = false;
  const waiting: string[] = [];
  const obeyAll = () => {
    while (!isBusy && waiting.length > 0) {
      const command = JSON.parse(waiting.shift() ?? '') as Command;
      isBusy = command.execute === 'guest-fsfreeze-freeze' && freezing === 'is slow';
      if (!isBusy) obey(command);
      else
        setTimeout(() => {
          isBusy = false;
          obey(command);
          obeyAll();
        }, SLOW_MS);
    }
  };
  socket.on('data', (bytes: Buffer) => {
    text += bytes.toString('latin1').replaceAll('\xff', '');
    const lines = text.split('\n');
    text = lines.pop() ?? '';
    waiting.push(...lines.filter(Boolean));
    obeyAll();
  });
  socket.on('error', () => undefined);
  return agent;
}

interface Command {
  execute: string;
  arguments?: { id?: number };
}
