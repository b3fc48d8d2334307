/** As whom QEMU runs, and what that user may: a root agent itself is let through everywhere. */
import { join } from 'node:path';
import { readFile } from '../files/calls.ts';
import { CommandError, isToolFailure, run } from '../process/command.ts';
import { allOf, elementsIn, onlyOf, readXml, textOf, type XmlElement } from '../libvirt-xml/xml.ts';
import { daemonOf } from './libvirt-folders.ts';

/** Names or numbers. */
interface QemuUser {
  user: string;
  group: string;
}

/**
 * By the domain's own label of the DAC driver, else by the driver's for all domains.
 * @param domainXml null for no certain domain
 * @returns null where that driver gives no label: QEMU runs as libvirt's daemon does
 */
export function qemuUserOf(capabilitiesXml: string, domainXml: string | null): QemuUser | null {
  const own = domainXml === null ? null : ownLabel(readXml(domainXml, 'domain'));
  if (own) return own.attributes['type'] === 'none' ? null : userOf(textOf(onlyOf(own, 'label')));
  const document = readXml(capabilitiesXml, 'capabilities');
  const host = onlyOf(onlyOf(document, 'capabilities'), 'host');
  const model = allOf(host, 'secmodel').find((secmodel) => nameOf(secmodel) === 'dac') ?? null;
  const [label] = allOf(model, 'baselabel').flatMap(({ children }) => children);
  return userOf(typeof label === 'string' ? label : null);
}

const nameOf = (secmodel: XmlElement) => textOf(onlyOf(secmodel, 'model'));

/** One without a label (`dynamic`, or `relabel` only) runs as all others do. */
function ownLabel(document: XmlElement): XmlElement | undefined {
  return elementsIn(document)
    .flatMap((domain) => allOf(domain, 'seclabel'))
    .filter(({ attributes }) => attributes['model'] === 'dac')
    .find((seclabel) => seclabel.attributes['type'] === 'none' || onlyOf(seclabel, 'label'));
}

/** A number has a `+` before it, or may have none. */
function userOf(label: string | null): QemuUser | null {
  const [, user, group] = /^\+?([^:\s]+):\+?([^:\s]+)$/.exec(label ?? '') ?? [];
  return user === undefined || group === undefined ? null : { user, group };
}

const mayStay = ({ attributes }: XmlElement) =>
  (attributes['model'] ?? 'dac') === 'dac' && attributes['relabel'] === 'no';

/**
 * False where libvirt leaves the files of the disk to their owner: the XML says so, or
 * `dynamic_ownership = 0` of qemu.conf does. Else it gives them to QEMU's user when the domain
 * starts; a daemon whose settings are out of reach is taken for one that does.
 */
export async function isGivenToQemu(domainXml: string, target: string): Promise<boolean> {
  const domain = onlyOf(readXml(domainXml, 'domain'), 'domain');
  const labels = allOf(domain, 'seclabel');
  if (labels.some((label) => mayStay(label) || label.attributes['type'] === 'none')) return false;
  const disks = allOf(onlyOf(domain, 'devices'), 'disk');
  const disk = disks.find((one) => onlyOf(one, 'target')?.attributes['dev'] === target) ?? null;
  if (allOf(onlyOf(disk, 'source'), 'seclabel').some(mayStay)) return false;
  const [name, uuid] = [textOf(onlyOf(domain, 'name')), textOf(onlyOf(domain, 'uuid'))];
  const daemon = name !== null && uuid !== null ? await daemonOf({ name, uuid }) : null;
  if (daemon === null) return true;
  const settings = await readFile(join(daemon.settings, 'qemu.conf'), 'utf8').catch(() => '');
  return !/^[ \t]*dynamic_ownership[ \t]*=[ \t]*0/m.test(settings);
}

export const mayEnter = (who: QemuUser, folder: string) => may(who, '-x', folder);
export const mayReadAndWrite = (who: QemuUser, path: string) =>
  may(who, '-r', path, '-a', '-w', path);

/**
 * What `test` says to that user, with the groups that libvirt gives QEMU. Tried as that user, so
 * that mode, groups, ACLs, and the server of a network file system have their say.
 * @returns null when it cannot be tried: only root may become another user
 */
async function may(who: QemuUser, ...question: string[]): Promise<boolean | null> {
  // A user without an entry in /etc/passwd has no further groups.
  return (
    (await tryAs(who, '--init-groups', question)) ?? (await tryAs(who, '--clear-groups', question))
  );
}

async function tryAs({ user, group }: QemuUser, groups: string, question: readonly string[]) {
  try {
    await run('setpriv', ['--reuid', user, '--regid', group, groups, 'test', ...question]);
    return true;
  } catch (error) {
    if (!isToolFailure(error)) throw error;
    return isAnswer(error) ? false : null;
  }
}

/** `test` says nothing, and returns 1; what cannot be run says why. */
const isAnswer = ({ exitCode, stdout, stderr }: CommandError) =>
  exitCode === 1 && !/setpriv/.test(stdout + stderr);
