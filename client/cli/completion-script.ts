/** Completion scripts, made from the commands themselves, so that none is forgotten. */
import type { Command } from 'commander';

interface Completed {
  name: string;
  summary: string;
  /** Options, and words that stand for the first argument. */
  words: string[];
  /** True when the first argument is a VM. */
  takesVm: boolean;
}

export type Shell = 'bash' | 'zsh' | 'fish';

export function completionScript(program: Command, shell: Shell): string {
  const commands = program.commands.map(describe);
  return { bash, zsh, fish }[shell](commands);
}

function describe(command: Command): Completed {
  // Of a group: its commands, then what any of them takes.
  const all = [command, ...command.commands];
  const subcommands = command.commands.map((one) => one.name());
  const [first] = all.flatMap((one) => one.registeredArguments);
  const options = [...new Set(all.flatMap((one) => one.options.flatMap((o) => o.long ?? [])))];
  return {
    name: command.name(),
    summary: command.summary(),
    words: [...subcommands, ...(first?.argChoices ?? []), ...options, '--help'],
    takesVm: first?.name().split('|')[0] === 'VM',
  };
}

/** One name a line; nothing when libvirt does not answer. */
const VMS = 'virsh -q list --all --name 2>/dev/null';
const namesOf = (commands: readonly Completed[]) => commands.map(({ name }) => name).join(' ');
const caseOf = (commands: readonly Completed[], line: (command: Completed) => string) =>
  commands.map((command) => `    ${command.name}) ${line(command)} ;;`).join('\n');

/**
 * compgen expands its words as a shell does, so it gets ours only: a VM may be called `$(reboot)`.
 */
function bash(commands: readonly Completed[]): string {
  const words = ({ words, takesVm }: Completed) =>
    `words="${words.join(' ')}"${takesVm ? ' vms=yes' : ''}`;
  return `# bash completion of blockflow
_blockflow() {
  local cur=\${COMP_WORDS[COMP_CWORD]} words= vms= vm quoted
  if [ "$COMP_CWORD" = 1 ]; then words="${namesOf(commands)}"
  else case "\${COMP_WORDS[1]}" in
${caseOf(commands, words)}
  esac fi
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
  [ "$vms" ] || return 0
  while IFS= read -r vm; do
    printf -v quoted %q "$vm"
    [[ $vm && ($vm == "$cur"* || $quoted == "$cur"*) ]] && COMPREPLY+=("$quoted")
  done < <(${VMS})
}
complete -F _blockflow blockflow`;
}

function zsh(commands: readonly Completed[]): string {
  const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
  const words = ({ words, takesVm }: Completed) =>
    `compadd -- ${words.join(' ')}${takesVm ? ` \${(f)"$(${VMS})"}` : ''}`;
  return `#compdef blockflow
_blockflow() {
  local -a commands
  commands=(
${commands.map(({ name, summary }) => `    ${quoted(`${name}:${summary}`)}`).join('\n')}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  case "$words[2]" in
${caseOf(commands, words)}
  esac
}
if [ "$funcstack[1]" = _blockflow ]; then _blockflow "$@"; else compdef _blockflow blockflow; fi`;
}

function fish(commands: readonly Completed[]): string {
  const quoted = (text: string) => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  const start = 'complete -c blockflow -f -n';
  // The word after `blockflow` alone: `spm` is a role of `worker` as well, and a VM has any name.
  const after = (name: string) => `'string match -q -- ${name} (commandline -opc)[2]'`;
  const lines = commands.flatMap(({ name, summary, words, takesVm }) => [
    `${start} __fish_use_subcommand -a ${name} -d ${quoted(summary)}`,
    `${start} ${after(name)} -a ${quoted(words.join(' '))}`,
    ...(takesVm ? [`${start} ${after(name)} -a '(${VMS})'`] : []),
  ]);
  return ['# fish completion of blockflow', ...lines].join('\n');
}
