/** The systemd units of blockflow: one for `blockflow up`, one for each role. */
import type { RoleName } from '../roles/start.ts';

/** What a unit runs. */
export type Served = 'up' | RoleName;

export const unitName = (served: Served) => `blockflow-${served}.service`;

/** Variables such as TEMPORAL_ADDRESS; the file need not be there. */
export const ENVIRONMENT_FILE = '/etc/blockflow/environment';

export interface UnitFacts {
  served: Served;
  /** Of the command, such as Node, the script and its arguments. */
  command: readonly string[];
  /** Folder that holds `blockflow/`, with the Temporal server and the workflows' bundle. */
  cacheHome: string;
}

/** Files of any owner, processes of QEMU's user, and what qemu-img needs. */
const AGENT = ['CHOWN', 'DAC_OVERRIDE', 'DAC_READ_SEARCH', 'FOWNER', 'FSETID', 'KILL'];
const TOOLS = ['SYS_PTRACE', 'SETUID', 'SETGID', 'SETPCAP', 'IPC_LOCK'];
/** A network of its own for the Temporal server. */
const OWN_NETWORK = ['SYS_ADMIN', 'NET_ADMIN'];

const rightsOf = (served: Served): string[] =>
  served === 'orchestrator' ? [] : [...AGENT, ...TOOLS, ...(served === 'up' ? OWN_NETWORK : [])];

const DESCRIPTION: Record<Served, string> = {
  up: 'blockflow: Temporal server, orchestrator, host agent and SPM agent',
  orchestrator: 'blockflow: orchestrator',
  host: 'blockflow: host agent',
  spm: 'blockflow: SPM agent',
};

/** A word of a command line, in systemd's own spelling. */
const ESCAPED: Record<string, string> = { '\\': '\\\\', '"': '\\"', '%': '%%', $: '$$' };
const quoted = (word: string) => `"${word.replace(/[\\"%$]/g, (sign) => ESCAPED[sign] ?? sign)}"`;

function hardeningOf(served: UnitFacts['served']): string {
  const rights = rightsOf(served).map((right) => `CAP_${right}`);
  return `CapabilityBoundingSet=${rights.join(' ')}
NoNewPrivileges=yes
ProtectSystem=full
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictNamespaces=${served === 'up' ? 'net' : 'yes'}
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service @mount @setuid
SystemCallFilter=~@reboot @swap @obsolete @cpu-emulation
SystemCallErrorNumber=EPERM
`;
}

export function unitOf({ served, command, cacheHome }: UnitFacts): string {
  return `# Written by \`blockflow ${served === 'up' ? 'up' : `worker ${served}`} --install\`.
[Unit]
Description=${DESCRIPTION[served]}
Documentation=man:libvirtd(8)
Wants=network-online.target
After=network-online.target libvirtd.service virtqemud.service
StartLimitIntervalSec=300
StartLimitBurst=20

[Service]
Type=notify
# The messages come from a child, systemd-notify.
NotifyAccess=all
ExecStart=${command.map(quoted).join(' ')}
EnvironmentFile=-${ENVIRONMENT_FILE}
Environment=BLOCKFLOW_STATE_DIR=%S/blockflow BLOCKFLOW_RUNTIME_DIR=%t/blockflow
Environment=${quoted(`XDG_CACHE_HOME=${cacheHome}`)}

# Pivot scripts, cold commits and copying daemons outlive their agent: a guest that is suspended
# for its pivot runs on, and a copy of hours goes on. The agent finds them again.
KillMode=process
Restart=always
RestartSec=2
TimeoutStartSec=infinity
TimeoutStopSec=30
WatchdogSec=60

StateDirectory=blockflow
StateDirectoryMode=0700
RuntimeDirectory=blockflow
RuntimeDirectoryMode=0700
RuntimeDirectoryPreserve=yes
UMask=0077

LimitNOFILE=65536
TasksMax=8192
OOMScoreAdjust=-500

${hardeningOf(served)}
[Install]
WantedBy=multi-user.target
`;
}
