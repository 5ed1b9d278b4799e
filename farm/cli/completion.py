"""`farm completion SHELL`: prints what completes commands and options in a shell."""

from __future__ import annotations

import argparse
import sys

from farm.cli.shells import SHELLS

EPILOG = """\
Completed are commands, options, the values of options that have few, and files where files are meant. For the bash that you are in
alone: source <(farm completion bash).

examples:
  farm completion bash > ~/.local/share/bash-completion/completions/farm
  farm completion zsh > "${fpath[1]}/_farm"
  farm completion fish > ~/.config/fish/completions/farm.fish
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `farm completion`."""
    parser.epilog = EPILOG
    parser.add_argument("shell", metavar="SHELL", choices=tuple(SHELLS), help=f"one of {', '.join(SHELLS)}")


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    from farm.cli.main import COMMANDS, every_parser
    from farm.cli.words import words_of

    sys.stdout.write(SHELLS[args.shell](words_of(every_parser(), COMMANDS)))
    return 0
