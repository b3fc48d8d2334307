/** Compares the four views of a chain. Pure. */
import type { ChainObservation, Volume } from '../../../workflows/chain/schemas.ts';
import type { XmlDisk } from '../../adapters/libvirt-xml/domain-xml.ts';
import type { OpenFile } from '../../adapters/files/open-files.ts';

/** The layers named are the upper ones, or all when nothing may follow. */
function continues(kept: string[], expected: string[], terminated: boolean): boolean {
  const named = terminated ? expected : expected.slice(-kept.length);
  return kept.join() === named.join();
}

/** Says in sentences where the views differ; empty when they agree. */
export function disagreements(
  views: ChainObservation['views'],
  record: { persistent: boolean; terminated: boolean },
  open: OpenFile[] | null,
  volumes: Volume[],
): string[] {
  const found: string[] = [];
  const { live, headers } = views;
  const show = (paths: readonly string[]) => paths.join(' <- ');
  if (live && live.join() !== headers.join()) {
    found.push(`the running domain has ${show(live)}, the headers on storage ${show(headers)}`);
  }
  // A persistent XML may name the upper layers alone: what is below is then what the headers say.
  const kept = views.persistent;
  const expected = live ?? headers;
  const [starts, uses] = [kept?.at(-1), expected.at(-1)];
  if (kept && starts !== uses) {
    found.push(`the persistent XML starts ${starts}, the running domain uses ${uses}`);
  } else if (kept && !continues(kept, expected, record.terminated)) {
    found.push(`the persistent XML has ${show(kept)}, in use is ${show(expected)}`);
  } else if (record.persistent && !kept) {
    found.push('the persistent XML has no such disk');
  }
  if (live && !open) found.push('libvirt calls the VM running, but no QEMU process of it exists');
  for (const volume of open ? volumes : []) {
    if (!open?.some((file) => file.identity === volume.identity)) {
      found.push(`QEMU does not have ${volume.path} open`);
    }
  }
  return found;
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
