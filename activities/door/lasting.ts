/**
 * What another try meets again: by the number of a system call's error, or in the words of a tool.
 * What is not listed here may pass: it is tried again, and told once that has lasted.
 */
import { causeIn } from '../../workflows/operation/cure.ts';
import {
  failureDetails,
  ownFailure,
  type RefusalCode,
} from '../../workflows/operation/failures.ts';
import { CommandError, saidIn } from '../adapters/process/command.ts';

/** Rights, limits and features of a file system; a person has to change something first. */
export const LASTING_ERRNOS: ReadonlySet<string> = new Set([
  ...['EFBIG', 'EROFS', 'EACCES', 'EPERM', 'ENAMETOOLONG', 'EINVAL', 'ENOTSUP', 'EOPNOTSUPP'],
  ...['EISDIR', 'ENOTDIR', 'ELOOP', 'EXDEV', 'EMLINK', 'ENOSYS'],
]);

interface Words {
  words: RegExp;
  /** Of a plan. */
  code: RefusalCode;
}
const of = (code: RefusalCode, ...all: RegExp[]): Words[] => all.map((words) => ({ words, code }));

/**
 * Of the C library, as far as no tool says the same of what passes: "Invalid argument" and
 * "Operation not supported" are libvirt's, too, for what a VM is just doing. QEMU 7.2:
 * block/qcow2.c, block/file-posix.c. libvirt 9.0: src/util/virerror.c,
 * src/qemu/qemu_capabilities.c, qemu_validate.c.
 */
export const LASTING_WORDS: readonly Words[] = [
  ...of('read-only-pool', /read-only file system/i),
  ...of(
    'unsupported-format',
    /image is not in qcow2 format/i,
    /unsupported qcow2 (feature\(s\)|version)/i,
    /to be a regular file/i,
    /is a directory/i,
  ),
  ...of(
    'command-failed',
    /permission denied|operation not permitted/i,
    /file too large|file name too long|too many levels of symbolic links/i,
    /\bXML error: /,
    /XML document failed to validate against schema/,
    /cannot check QEMU binary/i,
    /unsupported configuration: .* is supported only with /,
    /unsupported configuration: .* is not supported (by|with) this QEMU/,
  ),
];

/**
 * What passes by itself, or once another process has ended. One of these decides, whatever stands
 * beside it: QEMU adds what it thinks of the cause. The last two are libvirt's words for a VM that
 * was started meanwhile (src/qemu/qemu_driver.c, qemu_domain.c).
 */
export const PASSING_WORDS: readonly RegExp[] = [
  /failed to (get|acquire) .*\block|failed to (un)?lock\b/i,
  /no space left|disk quota exceeded|cannot allocate memory/i,
  /(input\/output|i\/o) error|stale file handle|transport endpoint|no such device/i,
  /resource (temporarily unavailable|busy)|text file busy|interrupted system call/i,
  /timed? ?out|connection (refused|reset)|end of file|cannot (recv|write) data|failed to connect/i,
  /asynchronous jobs running|cannot acquire state change lock/i,
  /disk source can be changed only in removable drives/,
  /cannot modify field/,
];

export interface Lasting {
  /** What was said, without what is the same for all errors. */
  said: string;
  /** How a plan that meets it is refused. */
  code: RefusalCode;
}

/** @returns null for what may pass by itself */
export function lastingIn(error: unknown): Lasting | null {
  if (error instanceof CommandError) return lastingWords(error.stderr);
  const { code = '', syscall, message } = error as NodeJS.ErrnoException;
  if (syscall === undefined || !LASTING_ERRNOS.has(code)) return null;
  return { said: message, code: code === 'EROFS' ? 'read-only-pool' : 'command-failed' };
}

/** @param text of a tool, in English */
export function lastingWords(text: string): Lasting | null {
  // A name may hold any words.
  const cause = causeIn(text);
  if (PASSING_WORDS.some((words) => words.test(cause))) return null;
  const found = LASTING_WORDS.find(({ words }) => words.test(cause));
  return found ? { said: saidIn(text), code: found.code } : null;
}

/**
 * A step that is its operation's point of no return: what lasts is its outcome while it has changed
 * nothing.
 * @throws what may pass; what lasts, where it has changed something
 */
export async function orRefused<T>(
  step: () => Promise<T>,
  isUntouched: () => Promise<boolean>,
): Promise<T | { outcome: 'refused'; reason: string }> {
  try {
    return await step();
  } catch (error) {
    const reason = lastingIn(error)?.said ?? givenUpIn(error);
    if (reason === null || !(await isUntouched())) throw error;
    return { outcome: 'refused', reason };
  }
}

/** What a step has given up by itself. */
function givenUpIn(error: unknown): string | null {
  const details = ownFailure(error)?.nonRetryable ? failureDetails(error)?.details : undefined;
  return details?.code === 'command-failed' ? details.now : null;
}
