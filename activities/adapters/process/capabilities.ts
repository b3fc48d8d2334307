/** What the kernel lets this process do, see capabilities(7). */
import { readFileSync } from 'node:fs';

/** @returns text of `/proc/self/status`, see proc(5) */
export const ownStatus = () => readFileSync('/proc/self/status', 'utf8');

/**
 * Whether a process has a capability in effect.
 * @param bit its number
 * @param status text of its `/proc/PID/status`
 */
export function hasCapability(bit: number, status: string): boolean {
  const held = BigInt(`0x${/^CapEff:\s+([0-9a-f]+)/m.exec(status)?.[1] ?? '0'}`);
  return ((held >> BigInt(bit)) & 1n) === 1n;
}
