/** What clients of this machine read of this process, by `worker/environment`. */
import { rmSync } from 'node:fs';
import { writeWhole } from '../../activities/adapters/files/files.ts';
import { startTicksOf, upFilePath, type UpFile } from '../environment/up-file.ts';
import { profilePath, SERVER_NAME, tlsFiles } from '../environment/up-files.ts';

/** A reader sees the old file or the new one. */
export async function writeUpFile(
  stateDir: string,
  facts: Omit<UpFile, 'pid' | 'startTicks'>,
): Promise<void> {
  const whole: UpFile = { pid: process.pid, startTicks: startTicksOf(process.pid) ?? '', ...facts };
  const text = `${JSON.stringify(whole, null, 2)}\n`;
  await writeWhole(upFilePath(stateDir), text, { ifThere: 'replace' });
}

export const removeUpFile = (stateDir: string) => rmSync(upFilePath(stateDir), { force: true });

/** How any client of Temporal reaches the server of `up`; it stays true while none runs. */
export async function writeProfile(stateDir: string, address: string): Promise<void> {
  const files = tlsFiles(stateDir);
  const values = { address, namespace: 'default' };
  const tls = {
    server_name: SERVER_NAME,
    server_ca_cert_path: files.authority,
    client_cert_path: files.client,
    client_key_path: files.clientKey,
  };
  // A string of JSON is one of TOML.
  const linesOf = (section: string, all: Record<string, string>) => [
    `[${section}]`,
    ...Object.entries(all).map(([name, value]) => `${name} = ${JSON.stringify(value)}`),
  ];
  const lines = [...linesOf('profile.default', values), ...linesOf('profile.default.tls', tls), ''];
  await writeWhole(profilePath(stateDir), lines.join('\n'), { ifThere: 'replace' });
}
