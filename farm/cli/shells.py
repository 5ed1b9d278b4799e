"""Completion scripts of shells, made of the words of the command line. Nothing in them runs farm: a shell asks at every Tab."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from farm.cli.words import Option, Words

ALWAYS = ("--help", "--version")


def bash(commands: Sequence[Words]) -> str:
    """Return the script for bash."""
    lines = [
        "# bash completion of farm",
        "_farm() {",
        '  local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" command="" place',
        "  for ((place = 1; place < COMP_CWORD; place++)); do",
        '    if [[ ${COMP_WORDS[place]} != -* ]]; then command="${COMP_WORDS[place]}"; break; fi',
        "  done",
        "  COMPREPLY=()",
        '  case "$command" in',
        f"    '') {_bash_words([*(words.name for words in commands), *ALWAYS])} ;;",
    ]
    for words in commands:
        lines += [f"    {words.name})", *(f"      {line}" for line in _bash_command(words)), "      ;;"]
    return "\n".join([*lines, "  esac", "}", "complete -F _farm farm", ""])


def zsh(commands: Sequence[Words]) -> str:
    """Return the script for zsh: a file `_farm` in a directory of $fpath, or read by `source`."""
    lines = ["#compdef farm", "_farm() {", "  local -a commands", "  commands=("]
    lines += [f"    {_quoted(f'{words.name}:{words.help}')}" for words in commands]
    lines += ["  )", "  if (( CURRENT == 2 )); then", "    _describe command commands", "    return", "  fi", "  case $words[2] in"]
    for words in commands:
        lines.append(f"    {words.name})")
        lines.append("      _arguments " + " ".join([":", *_zsh_arguments(words)]))
        lines.append("      ;;")
    loaded = 'if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _farm "$@"; else compdef _farm farm; fi'
    return "\n".join([*lines, "  esac", "}", loaded, ""])


def fish(commands: Sequence[Words]) -> str:
    """Return the script for fish."""
    lines = ["# fish completion of farm", "complete -c farm -f"]
    for words in commands:
        lines.append(f"complete -c farm -n __fish_use_subcommand -a {words.name} -d {_quoted(words.help)}")
    for words in commands:
        seen = f"complete -c farm -n '__fish_seen_subcommand_from {words.name}'"
        if words.takes_files:
            lines.append(f"{seen} -F")
        if words.choices:
            lines.append(f"{seen} -a {_quoted(' '.join(words.choices))}")
        lines += [f"{seen} {_fish_option(option)}" for option in words.options]
    return "\n".join([*lines, ""])


SHELLS: Mapping[str, Callable[[Sequence[Words]], str]] = {"bash": bash, "zsh": zsh, "fish": fish}


def _bash_command(words: Words) -> list[str]:
    """Return what completes after a command: values of the option before, else its options, else files or other words."""
    lines = ['case "$before" in']
    for option in words.options:
        if option.takes_value:
            values = _bash_words(option.choices) if option.choices else _BASH_FILES if option.is_file else ":"
            lines.append(f"  {'|'.join(option.names)}) {values}; return ;;")
    lines.append("esac")
    names = [name for option in words.options for name in option.names]
    other = _bash_words(words.choices) if words.choices else ":"
    files = f"; {_BASH_FILES}" if words.takes_files else ""
    return [*lines, f"if [[ $word == -* ]]; then {_bash_words(names)}; else {other}{files}; fi"]


_BASH_FILES = 'compopt -o default; COMPREPLY+=($(compgen -f -- "$word"))'


def _bash_words(words: Sequence[str]) -> str:
    return f'COMPREPLY+=($(compgen -W {_quoted(" ".join(words))} -- "$word"))'


def _zsh_arguments(words: Words) -> list[str]:
    arguments = []
    for option in words.options:
        told = "".join(f"\\{char}" if char in "[]:" else char for char in option.help)
        arguments += [_quoted(f"*{name}[{told}]{_zsh_value(option)}") for name in option.names]
    # The command itself is the first word.
    arguments.append("'1: :'")
    if words.choices:
        arguments.append(_quoted(f"2:what:({' '.join(words.choices)})"))
    if words.takes_files:
        arguments.append("'*:file:_files'")
    return arguments


def _zsh_value(option: Option) -> str:
    if option.choices:
        return f":value:({' '.join(option.choices)})"
    return ":file:_files" if option.is_file else ":value: " if option.takes_value else ""


def _fish_option(option: Option) -> str:
    names = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names)
    value = " -r -F" if option.is_file else " -x" if option.takes_value else ""
    if option.choices:
        value = f" -x -a {_quoted(' '.join(option.choices))}"
    return f"{names}{value} -d {_quoted(option.help)}"


def _quoted(text: str) -> str:
    """Return a word in single quotes, as every one of these shells reads them."""
    return "'" + text.replace("'", "'\\''") + "'"
