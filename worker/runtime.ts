/** One Temporal runtime a process: structured logs with workflow and activity ids, and Prometheus metrics. */
import { DefaultLogger, makeTelemetryFilterString, NativeConnection, Runtime } from '@temporalio/worker';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import { pino, type Logger } from 'pino';
import pretty from 'pino-pretty';

/** JSON lines on standard error; readable ones when a person looks at a terminal. */
export function createLog(role: string): Logger {
  const level = process.env['BLOCKFLOW_LOG'] ?? 'info';
  const stream = process.stderr.isTTY
    ? pretty({ destination: 2, ignore: 'pid,hostname' })
    : pino.destination(2);
  return pino({ level, base: { role, pid: process.pid } }, stream);
}

/** Installs the runtime. Call it once, before any connection. */
export function installRuntime(log: Logger, metricsAddress?: string): void {
  const logger = new DefaultLogger('INFO', ({ level, message, meta }) => {
    const { sdkComponent, taskQueue, workflowId, runId, activityType, attempt, error } = meta ?? {};
    const fields = { sdkComponent, taskQueue, workflowId, runId, activityType, attempt, error };
    const at = level.toLowerCase() as 'trace' | 'debug' | 'info' | 'warn' | 'error';
    log[at]({ ...fields, ...meta }, message);
  });
  Runtime.install({
    logger,
    telemetryOptions: {
      logging: { filter: makeTelemetryFilterString({ core: 'WARN', other: 'ERROR' }), forward: {} },
      ...(metricsAddress
        ? { metrics: { prometheus: { bindAddress: metricsAddress, countersTotalSuffix: true } } }
        : {}),
    },
    // Each role decides by itself how it ends.
    shutdownSignals: [],
  });
}

/** Connects as the standard environment configuration says (TEMPORAL_ADDRESS, profiles, TLS); waits for the server. */
export async function connectWorker(log: Logger): Promise<{
  connection: NativeConnection;
  namespace: string;
}> {
  const { connectionOptions, namespace = 'default' } = loadClientConnectConfig();
  for (let told = false; ; told = true) {
    try {
      const connection = await NativeConnection.connect(connectionOptions);
      return { connection, namespace };
    } catch (error) {
      const address = connectionOptions.address ?? 'localhost:7233';
      if (!told) log.warn({ error: String(error) }, `waiting for the Temporal server at ${address}`);
      await new Promise((done) => setTimeout(done, 1000));
    }
  }
}
