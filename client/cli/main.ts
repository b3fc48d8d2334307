/** The `blockflow` command. */
import { processScreen } from './screen.ts';
import { runCli } from './run-cli.ts';

process.exitCode = await runCli(process.argv.slice(2), processScreen());
// A connection that does not close must not keep a finished command.
setTimeout(() => process.exit(), 2000).unref();
