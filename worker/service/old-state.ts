/** State of an `up` that root ran by hand: the service has another folder, and would not see it. */
import { existsSync } from 'node:fs';
import { readLastUpFile, readUpFile } from '../environment/up-file.ts';
import { databaseIn } from '../up/temporal-server.ts';
import { NoService } from './no-service.ts';

/**
 * @param old folder of an `up` by hand
 * @param service folder of the service, which exists once there was one
 * @throws NoService
 */
export function assertStateMoved(old: string, service: string): void {
  const move = existsSync(service) ? '' : `mv ${old} ${service}`;
  const running = readUpFile(old);
  if (running) {
    const next = `End it${move && `, run: ${move}`}, and repeat this command`;
    throw new NoService(
      `a \`blockflow up\` (pid ${running.pid}) runs with its state in ${old}`,
      next,
    );
  }
  if (!move || !(readLastUpFile(old) ?? existsSync(databaseIn(old)))) return;
  const now = `${old} has the state of a \`blockflow up\` by hand, which the service would miss`;
  throw new NoService(now, `Run: ${move}, and repeat this command`);
}
