import type { NamedVolume } from '../chain/references.ts';

/** A chain pool by pool, active layer first: what is left can be read, wherever it ends. */
export function fromTheTop(volumes: readonly NamedVolume[]) {
  const parts: { pool: string; identity: string; part: NamedVolume[] }[] = [];
  for (const volume of volumes) {
    const [above] = parts;
    if (above?.pool === volume.pool) above.part.push(volume);
    else parts.unshift({ pool: volume.pool, identity: volume.identity, part: [volume] });
  }
  return parts;
}
