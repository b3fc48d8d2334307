import { hostname, userInfo } from 'node:os';

/** Who asks, for the audit log: the person behind sudo, where there is one. */
export function requester(): string {
  const name = process.env['SUDO_USER'] ?? accountName();
  return `${name}@${hostname()}`;
}

function accountName(): string {
  try {
    return userInfo().username;
  } catch {
    // A container may run under a number that has no account.
    return `uid ${process.getuid?.() ?? 'unknown'}`;
  }
}
