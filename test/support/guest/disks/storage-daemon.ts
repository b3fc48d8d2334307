/** A chain of two layers in a qemu-storage-daemon, with a writer on top: a case without a VM. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { z } from 'zod';
import { qmp, type QmpCommand } from '../../../../activities/adapters/copying-daemon/qmp.ts';
import { startBlockWriter, type BlockWriter } from '../block-writer.ts';
import { waitUntil } from '../../wait-until.ts';

const JOB = 'commit';
const BLOCKS = 64;
const jobs = z.array(z.looseObject({ id: z.string(), status: z.string() }));

export interface DaemonScene {
  writer: BlockWriter;
  /** Starts the commit of top into base; returns at READY. */
  untilReady(): Promise<void>;
  /**
   * The job copies nothing from now on, as on a base that is too slow. A limit does not do this: a
   * mirror that is READY ignores its limit.
   */
  stall(): Promise<void>;
  /** The stalled job goes on and pivots; returns when QEMU has concluded it. */
  pivot(): Promise<void>;
  /** SIGKILL; then the blocks that are lost when this layer is opened. */
  killAndOpen(layer: 'base' | 'top'): Promise<number[]>;
  close(): Promise<void>;
}

export async function startDaemonScene(baseFormat: 'qcow2' | 'raw'): Promise<DaemonScene> {
  const folder = await mkdtemp(join(tmpdir(), 'blockflow-qsd-'));
  const at = (name: string) => join(folder, name);
  const size = String(BLOCKS * 65_536);
  await execa('qemu-img', ['create', '-q', '-f', baseFormat, at('base'), size]);
  const backing = ['-b', at('base'), '-F', baseFormat];
  await execa('qemu-img', ['create', '-q', '-f', 'qcow2', ...backing, at('top')]);
  const daemon = execa('qemu-storage-daemon', daemonArguments(at, baseFormat), { reject: false });
  const ask = async (...commands: QmpCommand[]) => (await qmp(at('qmp'), commands)) ?? [];
  await waitUntil('the daemon', async () => (await qmp(at('qmp'), [])) !== null);
  const writer = await startBlockWriter(at('nbd'), 'top', BLOCKS);
  await writer.untilFlushed(2 * BLOCKS);
  const job = async () => {
    const [found] = await ask({ execute: 'query-jobs' });
    return jobs.parse(found).find(({ id }) => id === JOB);
  };
  return {
    writer,
    async untilReady() {
      const commit = { 'job-id': JOB, device: 'top', 'base-node': 'base', 'auto-dismiss': true };
      await ask({ execute: 'block-commit', arguments: commit });
      await waitUntil('READY', async () => (await job())?.status === 'ready', { intervalMs: 5 });
    },
    async stall() {
      await ask({ execute: 'job-pause', arguments: { id: JOB } });
      await waitUntil('the stall', async () => (await job())?.status === 'standby');
    },
    async pivot() {
      await ask({ execute: 'job-resume', arguments: { id: JOB } });
      await ask({ execute: 'job-complete', arguments: { id: JOB } });
      await waitUntil('the pivot', async () => (await job()) === undefined, { intervalMs: 5 });
    },
    async killAndOpen(layer) {
      daemon.kill('SIGKILL');
      await daemon;
      const format = layer === 'base' ? baseFormat : 'qcow2';
      const source = ['-f', format, '-O', 'raw', at(layer)];
      await execa('qemu-img', ['convert', ...source, at('recovered')]);
      return writer.lostIn(at('recovered'));
    },
    async close() {
      daemon.kill('SIGKILL');
      await daemon;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function daemonArguments(at: (name: string) => string, baseFormat: string): string[] {
  const node = (name: string, format: string, more = '') => [
    '--blockdev',
    `driver=file,node-name=${name}-file,filename=${at(name)}`,
    '--blockdev',
    `driver=${format},node-name=${name},file=${name}-file${more}`,
  ];
  return [
    ...node('base', baseFormat),
    ...node('top', 'qcow2', ',backing=base'),
    ...['--nbd-server', `addr.type=unix,addr.path=${at('nbd')}`],
    ...['--export', 'type=nbd,id=top,node-name=top,name=top,writable=on'],
    ...['--chardev', `socket,id=monitor,path=${at('qmp')},server=on,wait=off`],
    ...['--monitor', 'chardev=monitor'],
  ];
}
