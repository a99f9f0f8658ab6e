"""How the terminal writes durations, sizes, counts and long lists of names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len, set_cell_size

#: Names of a list that are written out before the rest is counted.
SHOWN = 30

_SIZES = ("bytes", "kB", "MB", "GB", "TB")


def duration(seconds: float) -> str:
    """Return a duration as one glance takes it in.

    Examples
    --------
    >>> [duration(seconds) for seconds in (0.04, 4.26, 31.4, 252, 3724, -1)]
    ['0.0 s', '4.3 s', '31 s', '4:12', '1:02:04', '0.0 s']
    """
    seconds = max(0.0, seconds)
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def size(number: int) -> str:
    """Return a number of bytes, in thousands.

    Examples
    --------
    >>> [size(number) for number in (0, 999, 23_400, 3_100_000, 118_000_000, 2_500_000_000)]
    ['0 bytes', '999 bytes', '23 kB', '3.1 MB', '118 MB', '2.5 GB']
    """
    amount, unit = float(max(0, number)), 0
    while amount >= 999.5 and unit < len(_SIZES) - 1:
        amount, unit = amount / 1000, unit + 1
    digits = 1 if unit > 1 and amount < 9.95 else 0
    return f"{amount:.{digits}f} {_SIZES[unit]}"


def counted(number: int, singular: str, plural: str = "") -> str:
    """Return a count with its noun.

    Examples
    --------
    >>> counted(1, "notebook"), counted(10000, "notebook"), counted(2, "study", "studies")
    ('1 notebook', '10,000 notebooks', '2 studies')
    """
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def listed(names: Iterable[str], *, shown: int = SHOWN) -> str:
    """Return names with commas; of a long list the first, and how many follow.

    Examples
    --------
    >>> listed(["a", "b"]), listed("abcdef", shown=4), listed("abcde", shown=4)
    ('a, b', 'a, b, c, d and 2 more', 'a, b, c, d, e')
    """
    given = list(names)
    # One name takes no more room than the words that would stand for it.
    if len(given) <= shown + 1:
        return ", ".join(given)
    return f"{', '.join(given[:shown])} and {len(given) - shown:,} more"


def short_name(place: str) -> str:
    """Return what codes stand for as tables have it: the Korean name, behind the English one where that comes first.

    Examples
    --------
    >>> short_name("종로구 (Jongno-gu)"), short_name("Jongno-gu (종로구)"), short_name("중구; young"), short_name("")
    ('종로구', 'Jongno-gu 종로구', '중구, young', '')
    """
    names = []
    for part in place.split("; "):
        first, _, second = part.removesuffix(")").rpartition(" (") if part.endswith(")") else (part, "", "")
        names.append(f"{first} {second}" if first.isascii() and not second.isascii() else first)
    return ", ".join(names)


def padded(text: str, width: int) -> str:
    """Return a text cut or filled to so many columns of a terminal; a Korean letter takes two.

    Examples
    --------
    >>> padded("종로구", 8) + "|", padded("성동구", 5) + "|", padded("abcdef", 4)
    ('종로구  |', '성동 |', 'abc…')
    """
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(text, width) if width < 4 or cell_len(text) > len(text) else text[: width - 1] + "…"


def widest(texts: Sequence[str], limit: int) -> int:
    """Return the columns that the widest of some texts takes, at most ``limit``."""
    return min(limit, max((cell_len(text) for text in texts), default=0))
