"""Keys and passwords are kept out of what is recorded, printed or published; without JAX."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

HIDDEN = "***"
_NAME = r"(?:api[-_]?key|key|token|secret|pass(?:word|wd|phrase)?|pwd|credentials?|auth)"
# A part of a name: `monkey` and `tokens` are none.
_SECRET = re.compile(rf"(?:^|[-_.]){_NAME}(?:$|[-_.])", re.IGNORECASE)
_PAIR = re.compile(
    rf"(?<![\w.-])(?P<name>(?:[\w.-]*[-_.])?{_NAME}(?:[-_.][\w.-]*)?)(?P<equals>=|:\s?)[^\s&;,]+",
    re.IGNORECASE,
)
_LOGIN = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^\s/@]+@", re.IGNORECASE)
_BEARER = re.compile(r"\b(?P<word>bearer|basic)\s+[\w.~+/=-]{8,}", re.IGNORECASE)
# As their makers write them: Hugging Face, GitHub, OpenAI, Slack, AWS, W&B.
_KNOWN = re.compile(
    r"\b(?:hf_|gh[opsu]_|github_pat_|glpat-|sk-|xox[abp]-|wandb_v\d_|local-|AKIA)[\w-]{12,}"
    r"|\b[0-9a-f]{40}\b"
)
SHORTEST = 6  # a shorter value of a variable would hide ordinary words


def text(told: str) -> str:
    """A text without secrets: values of names such as ``api_key``, logins of addresses, known keys.

    Whatever a variable of the environment with such a name holds is hidden wherever it stands.
    """
    for name, value in os.environ.items():
        if _SECRET.search(name) and len(value) >= SHORTEST:
            told = told.replace(value, HIDDEN)
    told = _LOGIN.sub(rf"\g<scheme>{HIDDEN}@", told)
    told = _BEARER.sub(rf"\g<word> {HIDDEN}", told)
    return _PAIR.sub(rf"\g<name>\g<equals>{HIDDEN}", _KNOWN.sub(HIDDEN, told))


def command(words: Sequence[str]) -> str:
    """A command line in one text without secrets; what follows ``--token`` is one."""
    told, hide = [], False
    for word in words:
        flag = word.startswith("-") and "=" not in word
        told.append(HIDDEN if hide and not flag else text(word))
        hide = flag and bool(_SECRET.search(word.lstrip("-")))
    return " ".join(told)
