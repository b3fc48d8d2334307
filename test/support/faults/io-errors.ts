/**
 * I/O errors below the disk of a running VM: QEMU's own blkdebug, put between an image's format and
 * its file while the VM runs, and taken out again. No file, header or XML shows it. libvirt marks
 * the VM as tainted (custom-monitor), and that is all.
 */
import { z } from 'zod';
import type { Guest } from '../guest/guest.ts';

export interface IoError {
  /** Image whose file answers with EIO. */
  path: string;
  on: 'read' | 'write' | 'flush';
  /** So many requests fail; else all, until it is healed. */
  times?: number;
  /** Byte of the file that a request must touch, default any. */
  atByte?: number;
}

const FAULTY = 'faulty';
const answer = z.object({ return: z.unknown() });
const graphs = z.object({
  nodes: z.array(z.object({ id: z.number(), name: z.string() })),
  edges: z.array(z.object({ name: z.string(), parent: z.number(), child: z.number() })),
});
const nodeLists = z.array(
  z.looseObject({
    'node-name': z.string(),
    drv: z.string(),
    ro: z.boolean(),
    image: z.looseObject({ filename: z.string() }),
  }),
);

/** From now on requests fail. Returns what makes the file answer as before. */
export async function injectIoError(guest: Guest, error: IoError): Promise<() => Promise<void>> {
  const { path, on, times, atByte } = error;
  const nodes = nodeLists.parse(await ask(guest, 'query-named-block-nodes', { flat: true }));
  const storage = nodes.find((node) => node.drv === 'file' && node.image.filename === path);
  const image = storage?.['node-name'] ?? '';
  const place = atByte === undefined ? {} : { sector: Math.floor(atByte / 512) };
  const rule = { event: 'none', iotype: on, errno: 5, once: times !== undefined, ...place };
  // The next read through the format puts this rule in the place of the first: no such sector.
  const harmless = { event: 'read_aio', iotype: 'read', errno: 5, sector: 2 ** 40 };
  const errors = Array.from({ length: times ?? 1 }, () => rule);
  const rules = { 'inject-error': [...errors, ...(on === 'read' ? [] : [harmless])] };
  await ask(guest, 'blockdev-add', { driver: 'blkdebug', 'node-name': FAULTY, image, ...rules });
  const format = (await relatives(guest, image)).parent;
  await reopen(guest, format, FAULTY);
  return async () => {
    // A reopen flushes first, which must not meet the error.
    const read = `qemu-io ${format} "read 0 512"`;
    await guest.host.virsh('qemu-monitor-command', guest.name, '--hmp', read);
    await reopen(guest, format, image);
    await ask(guest, 'blockdev-del', { 'node-name': FAULTY });
  };
}

/** The format above a file reads and writes `file` from now on; all else stays. */
async function reopen(guest: Guest, format: string, file: string): Promise<void> {
  const nodes = nodeLists.parse(await ask(guest, 'query-named-block-nodes', { flat: true }));
  const { drv, ro } = nodes.find((node) => node['node-name'] === format) ?? {};
  const { backing } = await relatives(guest, format);
  const options = {
    driver: drv,
    'node-name': format,
    'read-only': ro,
    file,
    cache: { direct: false, 'no-flush': false },
    discard: 'unmap',
    ...(drv === 'qcow2' ? { backing } : {}),
  };
  await ask(guest, 'blockdev-reopen', { options: [options] });
}

/** The format above a file, and the node below a format. */
async function relatives(guest: Guest, name: string) {
  const { nodes, edges } = graphs.parse(await ask(guest, 'x-debug-query-block-graph', {}));
  const nameOf = (id?: number) => nodes.find((node) => node.id === id)?.name;
  const own = nodes.find((node) => node.name === name)?.id;
  const above = edges.find((edge) => edge.child === own && edge.name === 'file');
  const below = edges.find((edge) => edge.parent === own && edge.name === 'backing');
  return { parent: nameOf(above?.parent) ?? '', backing: nameOf(below?.child) ?? null };
}

async function ask({ host, name }: Guest, execute: string, args: object): Promise<unknown> {
  const command = JSON.stringify({ execute, arguments: args });
  const said = await host.virsh('qemu-monitor-command', name, command);
  const parsed = answer.safeParse(JSON.parse(said));
  if (!parsed.success) throw new Error(`${execute} of ${command}: ${said}`);
  return parsed.data.return;
}
