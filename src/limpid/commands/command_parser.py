"""The parser of the commands that take flags: its mistakes are one sentence, and it lists what a command takes."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Sequence
from typing import Any, NoReturn

from limpid.errors import UserError, nearest

#: A word of the other grammar, which composes runs: ``photos=DIR`` or ``data.root=DIR``.
_WORD = re.compile(r"\+*(?P<key>[A-Za-z_][\w.]*)=(?P<value>.*)", re.DOTALL)

#: What argparse calls the kind of a value, and what a reader does.
_KINDS = {"int": "a whole number", "float": "a number", "number": "a number"}


class CommandParser(argparse.ArgumentParser):
    """An argument parser whose every complaint is a `UserError` of one sentence, with the nearest name.

    Its commands take flags only. A word such as ``photos=DIR`` is answered with the flag that it stands for.
    """

    def __init__(self, **settings: Any) -> None:
        settings.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(**settings)

    def parse_known_args(  # type: ignore[override]  # argparse's overloads, in one signature
        self, args: Sequence[str] | None = None, namespace: object = None
    ) -> tuple[Any, list[str]]:
        """The parsed flags and an empty list: nothing is left over.

        Raises:
            UserError: an argument is unknown, lacks its value, or has a wrong one.
        """
        before = ""
        for word in args or ():
            if not before.startswith("-"):  # else it may be the value of that flag
                self._refuse_old_word(word)
            before = word
        parsed, left_over = super().parse_known_args(args, namespace)
        several = next((a for a in self._actions if not a.option_strings and a.nargs in ("*", "+")), None)
        for word in left_over:
            if several is None or word.startswith("-"):
                raise UserError(f"`{self.prog}` does not take {word!r}{self._hint(word)}")
            # argparse gives such arguments only what stands before the first flag behind them.
            setattr(parsed, several.dest, [*getattr(parsed, several.dest), word])
        return parsed, []

    def error(self, message: str) -> NoReturn:
        """Raise argparse's complaint as one sentence."""
        if missing := re.fullmatch(r"the following arguments are required: (.*)", message, re.DOTALL):
            raise UserError(f"`{self.prog}` lacks {missing[1]}; `{self.prog} --help` lists what it takes.")
        if lonely := re.fullmatch(r"argument (\S+): expected (?:one|at least one) argument", message):
            raise UserError(f"{lonely[1]} of `{self.prog}` lacks its value; `{self.prog} --help` says which it takes.")
        if kind := re.fullmatch(r"argument (\S+): invalid (\w+) value: (.*)", message, re.DOTALL):
            raise UserError(f"{kind[1]} of `{self.prog}` is {kind[3]}, but it must be {_KINDS.get(kind[2], kind[2])}.")
        if wrong := re.fullmatch(r"argument (\S+): (.*)", message, re.DOTALL):
            raise UserError(f"{wrong[1]} of `{self.prog}` cannot be taken: {wrong[2]}.")
        raise UserError(f"`{self.prog}` cannot be understood: {message}; `{self.prog} --help` lists what it takes.")

    def _check_value(self, action: argparse.Action, value: object) -> None:
        """Refuse a value that is none of the choices of `action`."""
        choices = action.choices
        if choices is None or value in choices:
            return
        known = [str(choice) for choice in choices]
        hint = nearest(str(value), known) or f"; there are {', '.join(known)}."
        if action.option_strings:
            raise UserError(f"{action.option_strings[0]} of `{self.prog}` cannot be {str(value)!r}{hint}")
        raise UserError(f"There is no `{self.prog} {value}`{hint}")

    def _refuse_old_word(self, word: str) -> None:
        match = _WORD.fullmatch(word)
        if match is None:
            return
        flag = flag_of(match["key"])
        if flag in self._option_string_actions:
            members = re.split(r",\s*", match["value"].strip("[]"))
            is_list = match["value"].startswith("[")
            values = shlex.join(members if is_list else [match["value"]])
            raise UserError(f"`{self.prog}` takes flags: write `{flag} {values}` in place of {word!r}.")

    def _hint(self, word: str) -> str:
        match = _WORD.fullmatch(word)
        flag = flag_of(match["key"]) if match else word.partition("=")[0]
        return nearest(flag, self._option_string_actions) or f"; `{self.prog} --help` lists what it takes."


def flag_of(name: str) -> str:
    """The flag of a setting: ``data.root`` and ``data_root`` are ``--data-root``."""
    return "--" + re.sub(r"[._]", "-", name)
