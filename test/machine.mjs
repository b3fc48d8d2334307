/**
 * What a run left of the machine at worst: a test that fails for want of it says something else.
 */
import { mkdirSync, readFileSync, statfsSync } from 'node:fs';
import { loadavg } from 'node:os';

const MIB = 2 ** 20;
const folders = ['/tmp/blockflow-test', '/dev/shm'];

function freeMib(folder) {
  const { bavail, bsize } = statfsSync(folder);
  return Math.floor((bavail * bsize) / MIB);
}

function availableMib() {
  const [, kib] = /^MemAvailable: +(\d+)/m.exec(readFileSync('/proc/meminfo', 'utf8')) ?? [0, 0];
  return Math.floor(Number(kib) / 1024);
}

/** Looks every five seconds; the function returned ends that, and says what was seen. */
export function watchMachine() {
  mkdirSync(folders[0], { recursive: true });
  const worst = { load: 0 };
  const look = () => {
    const now = [...folders.map((name) => [name, freeMib(name)]), ['memory', availableMib()]];
    for (const [name, mib] of now) {
      worst[name] = Math.min(worst[name] ?? Infinity, mib);
    }
    worst.load = Math.max(worst.load, loadavg()[0]);
  };
  look();
  const timer = setInterval(look, 5000);
  return () => {
    clearInterval(timer);
    look();
    const { load, ...least } = worst;
    const parts = Object.entries(least).map(([name, mib]) => `${mib} MiB in ${name}`);
    return `At worst free: ${parts.join(', ')}; load at most ${load.toFixed(0)}.`;
  };
}
