"""Print a script with which a shell completes commands, options, choices and files."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass

HELP = "print a completion script for a shell"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The shell."""
    parser.add_argument("shell", choices=sorted(_SCRIPTS), help="bash, zsh or fish")


def run(arguments: argparse.Namespace) -> int:
    """Print the script; ``every_command`` of the arguments makes the parser of all commands."""
    from rolecall.screen import say

    say("\n".join(_SCRIPTS[arguments.shell](list(_commands(arguments.every_command())))))
    return 0


@dataclass(frozen=True)
class CompletedOption:
    """An option by its names; ``choices`` of its value, which it takes if ``has_value``."""

    names: tuple[str, ...]
    help: str
    has_value: bool
    choices: tuple[str, ...]


@dataclass(frozen=True)
class CompletedCommand:
    """A command, its options, and what its first argument may be where that is a choice."""

    name: str
    help: str
    options: tuple[CompletedOption, ...]
    choices: tuple[str, ...]


def _commands(parser: argparse.ArgumentParser) -> Iterator[CompletedCommand]:
    """Every command of a parser."""
    for action in parser._actions:  # noqa: SLF001  # argparse has no public way to its options
        if not isinstance(action, argparse._SubParsersAction):  # noqa: SLF001  # as above
            continue
        helps = {choice.dest: choice.help or "" for choice in action._choices_actions}  # noqa: SLF001
        for name, subparser in action.choices.items():
            yield _command(name, helps[name], subparser)


def _command(name: str, help: str, parser: argparse.ArgumentParser) -> CompletedCommand:
    options: list[CompletedOption] = []
    choices: tuple[str, ...] = ()
    for action in parser._actions:  # noqa: SLF001  # as above
        values = tuple(map(str, action.choices or ()))
        if action.option_strings:
            described = (action.help or "") % {**vars(action), "prog": name}
            takes = action.nargs != 0
            options.append(CompletedOption(tuple(action.option_strings), described, takes, values))
        else:
            choices = choices or values
    return CompletedCommand(name, help, tuple(options), choices)


# --- Shells -------------------------------------------------------------------------------------


def _bash(commands: list[CompletedCommand]) -> Iterator[str]:
    """For bash: what is no option, command or choice is a file."""
    yield '# rolecall\'s completion for bash: eval "$(rolecall completion bash)"'
    yield "_rolecall() {"
    yield '    local current="${COMP_WORDS[COMP_CWORD]}" words=""'
    yield "    COMPREPLY=()"
    yield '    if [ "$COMP_CWORD" -eq 1 ]; then'
    yield f'        words="{" ".join(command.name for command in commands)} --help --version"'
    yield "    else"
    yield '        case "${COMP_WORDS[1]} ${COMP_WORDS[COMP_CWORD-1]}" in'
    for command in commands:
        for option in command.options:
            if option.has_value:
                pattern = "|".join(shlex.quote(f"{command.name} {name}") for name in option.names)
                yield f"            {pattern})"
                yield f'                words="{" ".join(option.choices)}" ;;'
    yield "            *)"
    yield '                case "${COMP_WORDS[1]}" in'
    for command in commands:
        names = [name for option in command.options for name in option.names]
        yield f"                    {command.name})"
        yield f'                        words="{" ".join([*command.choices, *names])}" ;;'
    yield "                esac"
    yield '                case "$current" in -*) ;; *)'
    yield "                    # Options are offered where one is begun, choices everywhere."
    yield "                    words=\"$(printf '%s\\n' $words | grep -v '^-')\" ;;"
    yield "                esac ;;"
    yield "        esac"
    yield "    fi"
    yield '    COMPREPLY=($(compgen -W "$words" -- "$current"))'
    yield "}"
    yield "complete -o default -F _rolecall rolecall"


def _zsh(commands: list[CompletedCommand]) -> Iterator[str]:
    """For zsh, which can use bash's."""
    yield "#compdef rolecall"
    yield "autoload -U +X compinit && compinit"
    yield "autoload -U +X bashcompinit && bashcompinit"
    yield "setopt local_options sh_word_split 2>/dev/null"
    yield from _bash(commands)


def _fish(commands: list[CompletedCommand]) -> Iterator[str]:
    """For fish, with what each option does."""
    yield "# rolecall's completion for fish: rolecall completion fish | source"
    for command in commands:
        yield (
            f"complete -c rolecall -f -n __fish_use_subcommand -a {command.name} "
            f"-d {_in_fish(command.help)}"
        )
        seen = f"complete -c rolecall -n '__fish_seen_subcommand_from {command.name}'"
        if command.choices:
            yield f"{seen} -f -a {_in_fish(' '.join(command.choices))}"
        for option in command.options:
            names = " ".join(
                f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}"
                for name in option.names
            )
            value = " -r" if option.has_value else ""
            choices = f" -f -a {_in_fish(' '.join(option.choices))}" if option.choices else ""
            yield f"{seen} {names}{value}{choices} -d {_in_fish(option.help)}"


def _in_fish(text: str) -> str:
    """A text in single quotes, as fish reads them."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


_SCRIPTS: dict[str, Callable[[list[CompletedCommand]], Iterator[str]]] = {
    "bash": _bash,
    "zsh": _zsh,
    "fish": _fish,
}
