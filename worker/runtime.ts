/**
 * One Temporal runtime a process: structured logs with workflow and activity ids, and Prometheus
 * metrics.
 */
import {
  DefaultLogger,
  makeTelemetryFilterString,
  NativeConnection,
  Runtime,
  type RuntimeOptions,
} from '@temporalio/worker';
import { pino, type Logger } from 'pino';
import pretty from 'pino-pretty';
import { visible } from '../workflows/operation/words.ts';
import { MetricsRefused } from './metrics-refused.ts';
import type { TemporalConfig } from './environment/temporal-config.ts';
import { ensureSearchAttributes } from './environment/search-attributes.ts';

const forPerson = () => {
  const lines = pretty({ destination: 2, ignore: 'pid,hostname' });
  // JSON hides escapes from a terminal, which are in its strings again once they are printed.
  const shown = (line: string) =>
    JSON.stringify(
      JSON.parse(line, (_, value: unknown) => {
        return typeof value === 'string' ? visible(value) : value;
      }),
    );
  return { write: (line: string) => void lines.write(`${shown(line)}\n`) };
};
const forProgram = () => {
  const lines = pino.destination(2);
  return { write: (line: string) => void lines.write(visible(line)) };
};

/** JSON lines on standard error; readable ones when a person looks at a terminal. */
export function createLog(role: string, usual = 'info'): Logger {
  const level = process.env['BLOCKFLOW_LOG'] ?? usual;
  const stream = process.stderr.isTTY ? forPerson() : forProgram();
  const options = {
    level,
    base: { role, pid: process.pid },
    serializers: { error: pino.stdSerializers.errWithCause },
    // Long, and of use to the SDK alone.
    redact: { paths: ['taskToken'], remove: true },
  };
  return pino(options, stream);
}

/**
 * Installs the runtime. Call it once, before any connection.
 * @throws MetricsRefused when another process has the address
 */
export function installRuntime(log: Logger, metricsAddress?: string): void {
  const logger = new DefaultLogger('INFO', ({ level, message, meta }) => {
    const at = level.toLowerCase() as 'trace' | 'debug' | 'info' | 'warn' | 'error';
    // Agents have activities only, as they should.
    const isExpected = message.startsWith('No workflows registered');
    log[isExpected ? 'debug' : at]({ ...meta }, message);
  });
  const options: RuntimeOptions = {
    logger,
    telemetryOptions: {
      logging: { filter: makeTelemetryFilterString({ core: 'WARN', other: 'ERROR' }), forward: {} },
      ...(metricsAddress
        ? { metrics: { prometheus: { bindAddress: metricsAddress, countersTotalSuffix: true } } }
        : {}),
    },
    // Each role decides by itself how it ends.
    shutdownSignals: [],
  };
  try {
    Runtime.install(options);
  } catch (error) {
    const isMetrics = error instanceof Error && /prometheus/.test(error.message);
    if (metricsAddress === undefined || !isMetrics) throw error;
    throw new MetricsRefused(metricsAddress, error);
  }
}

/**
 * Waits for the server, connects to it, and sees to the search attributes of its namespace.
 * @param find asked before each attempt: `blockflow up` may write its address while a worker waits.
 */
export async function connectWorker(
  log: Logger,
  find: () => TemporalConfig,
): Promise<{ connection: NativeConnection; namespace: string }> {
  for (let told = ''; ;) {
    const { connectionOptions, namespace } = find();
    const { address } = connectionOptions;
    try {
      const connection = await NativeConnection.connect(connectionOptions);
      await ensureSearchAttributes({ connection, namespace }, log);
      return { connection, namespace };
    } catch (error) {
      if (told !== address)
        log.warn({ error: String(error) }, `waiting for Temporal at ${address}`);
      told = address;
      await new Promise((done) => setTimeout(done, 1000));
    }
  }
}
