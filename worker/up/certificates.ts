/**
 * Who may talk to the server of `blockflow up`: anyone who can read the key in the folder `tls` of
 * its state, which is its owner alone. The authority that signs both sides is forgotten at once, so
 * no one can add a third.
 */
import { X509Certificate } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { childEnvironment } from '../../activities/adapters/process/environment.ts';
import { SERVER_NAME, tlsFiles, type TlsFiles } from '../environment/up-files.ts';

const DAYS = 3650;
const RENEWED_BEFORE_MS = 365 * 24 * 3600 * 1000;

/** Makes the certificates unless they are there, whole, and last for another year. */
export async function ensureCertificates(stateDir: string): Promise<void> {
  const files = tlsFiles(stateDir);
  if (await lastsLong(files)) return;
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  const draft = await mkdtemp(join(stateDir, '.tls-'));
  try {
    await makeAll(draft);
    await rm(files.folder, { recursive: true, force: true });
    await rename(draft, files.folder);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

async function lastsLong(files: TlsFiles): Promise<boolean> {
  const { authority, server, serverKey, client, clientKey } = files;
  const texts = await Promise.all(
    [authority, server, serverKey, client, clientKey].map((file) =>
      readFile(file, 'utf8').catch(() => ''),
    ),
  );
  if (texts.includes('')) return false;
  try {
    const { validFrom, validTo } = new X509Certificate(texts[1] ?? '');
    const now = Date.now();
    return Date.parse(validFrom) <= now && Date.parse(validTo) - now > RENEWED_BEFORE_MS;
  } catch {
    // What is no certificate is replaced.
    return false;
  }
}

/** openssl reads no configuration of the machine. */
const CONFIG = '[req]\ndistinguished_name = dn\n[dn]\n';

async function makeAll(folder: string): Promise<void> {
  const config = join(folder, 'openssl.cnf');
  await writeFile(config, CONFIG);
  const make = async (name: string, more: readonly string[]) => {
    const [pem, key] = [join(folder, `${name}.pem`), join(folder, `${name}.key`)];
    const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
    const lasting = ['-days', String(DAYS), '-subj', `/CN=blockflow ${name}`];
    const options = ['-x509', '-config', config, ...kind, ...lasting];
    const ends = ['-keyout', key, '-out', pem, ...more];
    await execa('openssl', ['req', ...options, ...ends], {
      env: childEnvironment(),
      extendEnv: false,
    });
    await chmod(key, 0o600);
    return ['-CA', pem, '-CAkey', key];
  };
  const signed = await make('authority', ['-addext', 'basicConstraints=critical,CA:TRUE']);
  const leaf = [...signed, '-addext', 'basicConstraints=CA:FALSE', '-addext'];
  await make('server', [...leaf, `subjectAltName=DNS:${SERVER_NAME}`]);
  await make('client', [...leaf, 'extendedKeyUsage=clientAuth']);
  await rm(join(folder, 'authority.key'));
  await rm(config);
}
