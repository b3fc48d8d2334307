/** An image, of a VM or of none, as one list of volumes with all that a copy of it has to know. */
import { join } from 'node:path';
import { type ImageRef, imageId } from '../../../workflows/chain/references.ts';
import { refused } from '../../../workflows/operation/failures.ts';
import type { Volume } from '../../../workflows/chain/schemas.ts';
import { observeFile, type FileFacts } from '../../adapters/files/files.ts';
import {
  filePoolTypes,
  isFilePool,
  observePools,
  poolNeeded,
  poolOf,
  type FilePool,
  type Pool,
} from '../../adapters/virsh/pools.ts';
import type { ImageHeader } from '../../adapters/qemu-img/qemu-img.ts';
import type { HostDeps } from '../deps.ts';
import { LayerMissing, readHeaderChain } from './header-chain.ts';
import { observeChain, toVolume, type Chain } from './observe-chain.ts';
import { shell } from '../../../workflows/operation/names.ts';

export interface Image {
  ref: ImageRef;
  /** Base-most first, links resolved. */
  volumes: (Volume & FileFacts & { header: ImageHeader; pool: string })[];
  pools: Pool[];
  /** The VM's side; null for a standalone image. */
  chain: Chain | null;
}

/**
 * @throws Refused for what does not exist, is in no file pool, or is no chain of qcow2 and raw
 * files.
 */
export async function observeImage(deps: HostDeps, ref: ImageRef): Promise<Image> {
  const found = ref.kind === 'disk' ? await ofVm(deps, ref) : await ofNoVm(deps, ref);
  const volumes = await Promise.all(
    found.volumes.map(async (volume) => {
      const facts = await observeFile(volume.path);
      const header = found.headers.get(volume.path);
      if (!facts || !header) throw new Error(`${volume.path} disappeared while it was observed`);
      return { ...volume, ...facts, header, pool: filePoolOf(ref, found.pools, volume.path).name };
    }),
  );
  return { ref, volumes, pools: found.pools, chain: found.chain };
}

async function ofVm(deps: HostDeps, ref: ImageRef & { kind: 'disk' }) {
  const { vm, disk } = ref;
  const chain = await observeChain(deps, { vm, disk, host: deps.host });
  return { chain, pools: chain.pools, headers: chain.headers, volumes: chain.volumes };
}

async function ofNoVm(deps: HostDeps, ref: ImageRef & { kind: 'volume' }) {
  const pools = await observePools(deps.libvirt);
  const pool = findPool(ref, pools, ref.pool);
  const path = join(pool.folder, ref.volume);
  if (!(await observeFile(path))) {
    throw refused('unknown-volume', {
      attempted: `looking up volume ${ref.volume} of pool ${ref.pool}`,
      now: `${path} does not exist`,
      next: `See ${shell`virsh vol-list ${ref.pool}`}`,
    });
  }
  const disk = {
    target: ref.volume,
    device: 'disk',
    type: 'file',
    chain: [{ path, format: ref.format, encrypted: false, index: null }],
    terminated: false,
    readOnly: false,
    shareable: false,
    transient: false,
    oddElements: [],
    cache: null,
    cacheMode: null,
    qcow2Only: [],
    copyOnRead: false,
    mirror: null,
  };
  const name = { vm: ref.pool, disk: ref.volume, host: deps.host };
  const headers = await readHeaderChain(name, disk).catch((error: unknown) => {
    throw error instanceof LayerMissing ? brokenChain(ref, error.message) : error;
  });
  const volumes = [...headers].map(([at, header]) => toVolume(at, header, disk, pools));
  return { chain: null, pools, headers, volumes: await Promise.all(volumes) };
}

/** Of a VM's disk the caller knows whether to wait for it: see missing-layer.ts. */
function brokenChain(ref: ImageRef & { kind: 'volume' }, now: string) {
  const { volume, pool } = ref;
  return refused('broken-chain', {
    attempted: `reading the image ${imageId(ref)}`,
    now,
    next:
      'Mount its file system or bring the file back, then repeat the request; if its data is ' +
      `not wanted any more: ${shell`virsh vol-delete ${volume} --pool ${pool}`}`,
  });
}

/** An active pool by name, of a type whose volumes are files. */
export function findPool(ref: ImageRef, pools: readonly Pool[], name: string): FilePool {
  const pool = pools.find((candidate) => candidate.name === name);
  if (!pool) {
    throw refused('unknown-pool', {
      attempted: `looking up pool ${name} for ${imageId(ref)}`,
      now: `the active pools are ${pools.map((p) => p.name).join(', ') || '(none)'}`,
      next: `See \`virsh pool-list --all\`; start it with ${shell`virsh pool-start ${name}`}`,
    });
  }
  if (!isFilePool(pool)) throw unsupported(ref, pool);
  return pool;
}

function filePoolOf(ref: ImageRef, pools: readonly Pool[], path: string): Pool {
  const pool = poolOf(pools, path);
  if (pool && filePoolTypes.includes(pool.type)) return pool;
  if (pool) throw unsupported(ref, pool);
  throw refused('outside-pools', {
    attempted: `reading the image ${imageId(ref)}`,
    now: `${path} lies in no active storage pool`,
    next: poolNeeded(path),
  });
}

function unsupported(ref: ImageRef, pool: Pool) {
  return refused('unsupported-pool', {
    attempted: `using pool ${pool.name} for ${imageId(ref)}`,
    now: `it is of type ${pool.type}`,
    next: `Pools of type ${filePoolTypes.join(', ')} are supported`,
  });
}
