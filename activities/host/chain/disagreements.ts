/** Compares the four views of a chain. Pure. */
import type { ChainObservation, Volume } from '../../../workflows/chain/schemas.ts';
import type { XmlDisk } from '../../adapters/libvirt-xml/domain-xml.ts';
import type { OpenFile } from '../../adapters/files/open-files.ts';

type Views = ChainObservation['views'];

interface DomainRecord {
  persistent: boolean;
  /** Whether the persistent XML says that nothing is below what it names. */
  terminated: boolean;
}

const show = (paths: readonly string[]) => paths.join(' <- ');
const isSame = (some: readonly string[], others: readonly string[]) =>
  some.length === others.length && some.every((path, at) => path === others[at]);

/** Says in sentences where the views differ; empty when they agree. */
export function disagreements(
  views: Views,
  record: DomainRecord,
  open: OpenFile[] | null,
  volumes: Volume[],
): string[] {
  return [
    ...inRunningDomain(views),
    ...inPersistentXml(views, record),
    ...inOpenFiles(views, open, volumes),
  ];
}

function inRunningDomain({ live, headers }: Views): string[] {
  if (!live || isSame(live, headers)) return [];
  return [`the running domain has ${show(live)}, the headers on storage ${show(headers)}`];
}

/** It may name the upper layers alone: what is below is then what the headers say. */
function inPersistentXml(
  { live, headers, persistent: kept }: Views,
  { persistent, terminated }: DomainRecord,
): string[] {
  // A disk may be attached to the running VM alone, which then is as a transient one for it.
  if (!kept) return persistent && !live ? ['the persistent XML has no such disk'] : [];
  const inUse = live ?? headers;
  const [starts, uses] = [kept.at(-1), inUse.at(-1)];
  if (starts !== uses) {
    return [`the persistent XML starts ${starts}, the running domain uses ${uses}`];
  }
  const expected = terminated ? inUse : inUse.slice(-kept.length);
  return isSame(kept, expected)
    ? []
    : [`the persistent XML has ${show(kept)}, in use is ${show(inUse)}`];
}

function inOpenFiles({ live }: Views, open: OpenFile[] | null, volumes: Volume[]): string[] {
  if (!open) {
    return live ? ['libvirt calls the VM running, but no QEMU process of it exists'] : [];
  }
  return volumes
    .filter(({ identity }) => !open.some((file) => file.identity === identity))
    .map(({ path }) => `QEMU does not have ${path} open`);
}

/**
 * Where a domain takes a volume for another format than the headers do: QEMU would read a guest's
 * own bytes as metadata, or metadata as data.
 */
export function formatDisagreements(
  named: readonly { who: string; disk: XmlDisk | null }[],
  volumes: readonly Volume[],
): string[] {
  return named.flatMap(({ who, disk }) =>
    (disk?.chain ?? []).flatMap(({ path, format }) => {
      const volume = volumes.find((candidate) => candidate.path === path);
      if (!volume || format === '' || format === volume.format) return [];
      return [`${who} takes ${path} for ${format}, the headers for ${volume.format}`];
    }),
  );
}
