"""Versions as text that sorts like the versions: any database can then compare them.

One order for dpkg, rpm and Windows: numbers by value, letters before other characters, `~` before
the end of the text, as dpkg does it; `-` (the revision of dpkg and rpm) directly after the end.
"""

import re
import unicodedata

VERSION_MAX = 128  # characters of a version that count
KEY_MAX = 255  # characters of a key; what is longer is cut

_EPOCH = re.compile(r"([0-9]{1,9}):(?=[0-9])")
_PREFIX = re.compile(r"v(?=[0-9])")
_RUN = re.compile(r"([^0-9]*)([0-9]*)")
# How many digits a number has, as one character; they ascend in every byte order.
_LENGTHS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_END = "#"
# Below the end, directly above it, in this order; rpm's ^ means: after this version.
_SPECIAL = {"~": "!", "-": "$", "^": "%"}
_OTHER = "{"  # above every letter; the character itself follows


def version_key(version: str) -> str:
    """Return text that sorts, byte by byte, where `version` belongs; '' for no version.

    Equal keys mean equal versions: case and leading zeros do not count.

    Shape: "1:2.10~rc1" gives "11#12{.#210!rc#11#"
    """
    text = unicodedata.normalize("NFKC", version.strip()[:VERSION_MAX]).casefold()
    if not text:
        return ""
    epoch = _EPOCH.match(text)
    rest = text[epoch.end() :] if epoch else text
    prefix = _PREFIX.match(rest)
    key = [_number(epoch.group(1) if epoch else "")]
    for run in _RUN.finditer(rest[prefix.end() :] if prefix else rest):
        if run.group():
            key += [_word(run.group(1)), _END, _number(run.group(2))]
    return ("".join(key) + _END)[:KEY_MAX]


def _word(text: str) -> str:
    return "".join(map(_character, text))


def _character(char: str) -> str:
    if "a" <= char <= "z":
        return char
    return _SPECIAL.get(char) or _OTHER + char


def _number(digits: str) -> str:
    significant = digits.lstrip("0")[: len(_LENGTHS) - 1]
    return _LENGTHS[len(significant)] + significant
