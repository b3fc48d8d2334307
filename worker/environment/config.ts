/** Where blockflow keeps things, and how a worker finds its Temporal, its libvirt and its name. */
import { existsSync } from 'node:fs';
import { isIPv4, isIPv6 } from 'node:net';
import { homedir, hostname } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { hostName } from '../../workflows/operation/names.ts';
import { cacheFolder } from './temporal-search.mjs';

const root = process.getuid?.() === 0;
const env = (name: string) => process.env[name] || undefined;

/** Of the service, when there is one on this machine; root's commands then mean it. */
export const SERVICE_STATE = '/var/lib/blockflow';

/** Of an `up` that this user runs by hand. */
export const ownStateDir = () =>
  join(env('XDG_STATE_HOME') ?? join(homedir(), '.local', 'state'), 'blockflow');

/**
 * State that must survive a reboot: audit log, embedded server's database. XDG base directory
 * specification.
 */
export const stateDir = () =>
  env('BLOCKFLOW_STATE_DIR') ?? (root && existsSync(SERVICE_STATE) ? SERVICE_STATE : ownStateDir());

/** Small files of running commands; they may die with the host. */
export const runtimeDir = () =>
  env('BLOCKFLOW_RUNTIME_DIR') ??
  (root ? '/run/blockflow' : join(env('XDG_RUNTIME_DIR') ?? join(stateDir(), 'run'), 'blockflow'));

export const defaultHost = () => env('BLOCKFLOW_HOST') ?? hostname();
export const defaultLibvirtUri = () =>
  env('BLOCKFLOW_CONNECT') ?? env('LIBVIRT_DEFAULT_URI') ?? 'qemu:///system';

/** Names are not looked up: on which of its addresses would `localhost` be? */
function isSocketAddress(text: string): boolean {
  const [, six, four, port] = /^(?:\[(.*)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? [];
  return Number(port) < 65536 && (isIPv6(six ?? '') || isIPv4(four ?? ''));
}

export const workerConfig = z.object({
  host: z._default(hostName, defaultHost),
  /** Id of the machine, for tests; else that of its operating system. */
  machine: z.string().optional(),
  libvirtUri: z.string().default(defaultLibvirtUri),
  stateDir: z.string().default(stateDir),
  runtimeDir: z.string().default(runtimeDir),
  /** Of the workflows' bundle. */
  cacheDir: z.string().default(() => cacheFolder()),
  /** Address of the Prometheus endpoint, for example 127.0.0.1:9464; none by default. */
  metricsAddress: z
    .string()
    .refine(isSocketAddress, { error: 'is not an IP address and a port' })
    .optional(),
  /** An SPM agent that stands still for this long is ended, so that another one takes its pools. */
  leaseSeconds: z.number().positive().default(20),
  /** What has been tried again for this long is told as stuck. */
  stuckSeconds: z.number().positive().default(900),
  /** Pools that an SPM agent serves; all active ones by default. */
  pools: z.array(z.string()).optional(),
});
export type WorkerConfig = z.infer<typeof workerConfig>;
