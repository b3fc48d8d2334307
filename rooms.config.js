/**
 * Who may import whom: the import table of DESIGN.md as rules for dependency-cruiser, which
 * `test/checks.mjs` runs. A room sees itself and what stands here, nothing else of ours.
 */

/** Below `workflows/`: an operation's rooms stand beside each other, on common ones. */
const workflows = {
  operation: [],
  chain: ['operation'],
  pools: ['operation', 'chain'],
  merge: ['operation', 'chain', 'pools'],
  removal: ['operation', 'chain', 'pools'],
  transfer: ['operation', 'chain', 'pools', 'removal'],
  snapshot: ['operation', 'chain', 'pools', 'merge'],
};

const shapes = 'workflows/operation/(names|failures|activities|audit)';
/** Tools, which know nothing of ours but what names look like and how a bad reply is told. */
const tool = [
  'activities/adapters/(process|files|reply|keep-newest)',
  'workflows/operation/(names|failures)',
];
const host = [
  'activities/(door|pool-folder|adapters)/',
  'activities/host/(deps|chain/|uses/|pools/|snapshots/|pivot/)',
  'workflows/(operation|chain|pools)/',
];

const rooms = {
  ...Object.fromEntries(
    Object.entries(workflows).map(([room, seen]) => [
      `workflows/${room}/`,
      seen.map((name) => `workflows/${name}/`),
    ]),
  ),
  'workflows/(index|kinds)': ['workflows/'],
  'activities/door/': [
    'workflows/operation/',
    'activities/adapters/(reply|process/(asking|command))',
  ],
  'activities/adapters/process/': tool,
  'activities/adapters/files/': tool,
  'activities/adapters/libvirt-xml/': tool,
  'activities/adapters/qemu-img/': tool,
  'activities/adapters/copying-daemon/': [...tool, 'activities/adapters/qemu-img/'],
  'activities/adapters/virsh/': [...tool, 'activities/adapters/libvirt-xml/'],
  'activities/pool-folder/': [
    'activities/adapters/(process|files|reply)',
    'activities/door/effect',
    shapes,
    'workflows/(chain|pools|transfer)/',
  ],
  'activities/host/chain/': host,
  'activities/host/uses/': host,
  'activities/host/pools/': host,
  'activities/host/snapshots/': [...host, 'workflows/snapshot/(create|revert)/plan'],
  'activities/host/pivot/': host,
  'activities/host/merge/': [...host, 'workflows/merge/'],
  'activities/host/transfer/': [...host, 'workflows/transfer/'],
  'activities/host/removal/': [...host, 'workflows/removal/'],
  'activities/host/snapshot/': [...host, 'workflows/snapshot/'],
  'activities/storage/': [
    'activities/(door|pool-folder|adapters|host/uses)/',
    'workflows/(operation|chain|pools|transfer|snapshot)/',
  ],
  'activities/orchestrator/': ['activities/(door|adapters)/', 'workflows/operation/'],
  'worker/environment/': ['workflows/operation/'],
  'worker/(up|roles|service|doctor|bundle|runtime|own-files|machine-id|metrics-refused)': [
    'worker/',
    'activities/',
    'workflows/',
  ],
  'client/library/': ['workflows/', 'worker/environment/'],
  'client/index': ['client/library/', 'workflows/'],
  'client/cli/': [
    'client/library/',
    'workflows/',
    'worker/(roles|up|service|doctor|environment|metrics-refused)',
  ],
  'client/examples/': ['client/index'],
};

/** Rooms whose name begins with this one's are not it: each pattern ends its folder. */
const ours = '^(workflows|activities|worker|client|test)/';

export default {
  forbidden: [
    ...Object.entries(rooms).map(([room, seen]) => ({
      name: `what ${room} may import`,
      severity: 'error',
      from: { path: `^${room}` },
      to: { path: ours, pathNot: [room, ...seen].map((path) => `^${path}`) },
    })),
    {
      name: 'what runs without jest',
      severity: 'error',
      from: { path: '^test/(bench|demo|docs|figures|seeded)/|^test/replay/record' },
      to: { path: '@jest/globals', reachable: true },
    },
    {
      name: 'every file has a room',
      severity: 'error',
      from: {
        path: ours,
        pathNot: [
          ...Object.keys(rooms),
          'activities/',
          'client/blockflow',
          'client/compiled',
          'test/',
        ].map((p) => `^${p}`),
      },
      to: {},
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
  },
};
