"""File formats in which surveys come: CSV, Excel, SPSS, Stata, Parquet, each read into one plain table.

Nothing is interpreted here: text stays text (``007`` keeps its zeros), user-missing codes stay codes.
"""

from __future__ import annotations

import re
import warnings
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pyreadstat

from evaluation import recording
from evaluation.errors import SourceError, did_you_mean

#: Text columns: missing values are NaN, comparisons give plain booleans.
TEXT = pd.StringDtype(na_value=float("nan"))

Code = str | float


@dataclass(frozen=True, eq=False)
class Table:
    """A file's content as it stands.

    Attributes
    ----------
    frame : pandas.DataFrame
        Numbers where the file has numbers, text elsewhere; blanks are missing.
    labels : mapping of str to str
        Variable labels of SPSS and Stata files.
    value_labels : mapping of str to mapping of code to str
        Value labels of SPSS and Stata files.
    missing : mapping of str to list of (low, high)
        Declared user-missing codes; both ends belong to the range.
    measures : mapping of str to str
        SPSS's "nominal", "ordinal", "scale" or "unknown".
    encoding : str
        How the text was encoded; empty where the format settles it.
    """

    frame: pd.DataFrame
    labels: Mapping[str, str] = field(default_factory=dict)
    value_labels: Mapping[str, Mapping[Code, str]] = field(default_factory=dict)
    missing: Mapping[str, list[tuple[Code, Code]]] = field(default_factory=dict)
    measures: Mapping[str, str] = field(default_factory=dict)
    encoding: str = ""


#: What a format is called, and how its files begin.
_NAMES = {
    "csv": "CSV text",
    "tsv": "tab-separated text",
    "sav": "SPSS (.sav)",
    "zsav": "SPSS (.zsav)",
    "dta": "Stata (.dta)",
    "xlsx": "Excel workbook (.xlsx)",
    "parquet": "Parquet",
}
_BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    (b"$FL2", "sav"),
    (b"$FL3", "zsav"),
    (b"<stata_dta>", "dta"),
    (b"PK\x03\x04", "xlsx"),
    (b"PAR1", "parquet"),
    (b"\xd0\xcf\x11\xe0", "xls"),
)
_RAGGED = re.compile(r"Row #(\d+): Expected (\d+) columns, got (\d+)")
_OLD_STATA = {bytes([version]) for version in (104, 105, 108, 110, 111, 112, 113, 114, 115)}


def read_table(
    path: Path,
    *,
    format: str | None = None,
    encoding: str | None = None,
    sheet: str | None = None,
    columns: Collection[str] | None = None,
) -> Table:
    """Read a file of any supported format.

    Parameters
    ----------
    path : Path
        The file.
    format : str, optional
        One of csv, tsv, sav, zsav, dta, xlsx, parquet; else the suffix tells.
    encoding : str, optional
        Of a CSV file (else UTF-8, with or without BOM, then CP949), or of an old SPSS or Stata file.
    sheet : str, optional
        Of a workbook; else the first.
    columns : collection of str, optional
        Of a Parquet file, which holds its columns apart: those to read, where the file has them; else all.

    Returns
    -------
    Table

    Raises
    ------
    SourceError
        The file is missing, empty, damaged, cut off, of another format than its name says, or has
        columns without a name or with the same name.
    """
    recording.read(path)
    if not path.is_file():
        raise SourceError(f"no file {path.name} in {path.parent.name or '.'}/. Check the path.")
    kind = format or path.suffix.lower().removeprefix(".").replace("txt", "csv")
    if kind == "xls":
        raise SourceError(f"{path.name}: the old Excel format (.xls) is not read. Save it as .xlsx or CSV.")
    if kind not in _NAMES:
        raise SourceError(
            f"{path.name}: expected one of .{', .'.join(_NAMES)}, got '{path.suffix}'. {did_you_mean(kind, _NAMES)} "
            "Rename the file after what it is."
        )
    _check_beginning(path, kind)
    if kind == "parquet" and columns is not None:
        _check_names(pd.DataFrame(columns=column_names(path)), path)
        return Table(_parquet_frame(path, [name for name in column_names(path) if name in columns]))
    table = _READERS[kind](path, encoding, sheet)
    _check_names(table.frame, path)
    return table


def column_names(path: Path) -> list[str]:
    """Return the names of a Parquet file's columns, without reading them; SourceError where it is damaged."""
    try:
        return [str(name) for name in pyarrow.parquet.read_schema(path).names]
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, "parquet", error) from None


def one_by_one(path: Path) -> Iterator[tuple[str, pd.Series]]:
    """Yield name and values of each column of a Parquet file, as ``read_table`` has them, never all at once."""
    recording.read(path)
    _check_beginning(path, "parquet")
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for name in map(str, file.schema_arrow.names):
                yield name, _plain_frame(file.read(columns=[name], use_threads=False))[name]
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, "parquet", error) from None


def _check_beginning(path: Path, kind: str) -> None:
    with path.open("rb") as file:
        head = file.read(16)
    if not head:
        raise SourceError(f"{path.name} is empty (0 bytes), expected {_NAMES[kind]}. Copy it again from its source.")
    found = next((name for beginning, name in _BEGINNINGS if head.startswith(beginning)), "")
    if kind == "dta" and head[:1] in _OLD_STATA:
        found = "dta"
    if kind in ("csv", "tsv"):
        if found or (b"\x00" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff"))):
            raise SourceError(_not_that(path, kind, found))
    elif found != kind and {found, kind} != {"sav", "zsav"}:
        raise SourceError(_not_that(path, kind, found))


def _not_that(path: Path, kind: str, found: str) -> str:
    message = f"{path.name} is not {_NAMES[kind]}"
    if found:
        name = _NAMES.get(found, "an old Excel workbook (.xls)")
        return f"{message}: its content is {name}. Give it the suffix .{found}, or pass the right file."
    return f"{message}: it does not begin as such a file must. It is damaged or of another kind; copy it again."


def _damaged(path: Path, kind: str, error: Exception) -> SourceError:
    reason = " ".join(str(error).replace(str(path), path.name).split())[:200]
    return SourceError(
        f"{path.name} begins as {_NAMES[kind]} but cannot be read to its end ({reason}). "
        "It is damaged or cut off: copy it again from its source."
    )


def _check_names(frame: pd.DataFrame, path: Path) -> None:
    names = [str(name) for name in frame.columns]
    unnamed = [number for number, name in enumerate(names, start=1) if not name.strip()]
    if unnamed:
        raise SourceError(f"{path.name}: column {unnamed[0]} has no name in the first row. Name it, or delete it.")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SourceError(f"{path.name}: column names must differ, but {twice} stand more than once. Rename them.")


def _read_csv(path: Path, encoding: str | None, delimiter: str | None) -> Table:
    content, encoding = _decoded(path, encoding)
    header = content.split(b"\n", 1)[0]
    if delimiter is None:
        delimiter = next((mark for mark in (",", ";", "\t") if mark.encode() in header), ",")
    try:
        names = _csv_table(header + b"\n", delimiter, [], header=True).column_names
        table = _csv_table(content, delimiter, names)
    except pa.ArrowInvalid as error:
        raise SourceError(
            f"{path.name}: {_ragged(str(error))}. The file is cut off, or a value holds a separator outside quotes: "
            "copy it again from its source, or correct that row."
        ) from None
    frame = pd.DataFrame({f"{i}": table.column(i).to_pandas().astype(TEXT) for i in range(len(names))})
    frame.columns = pd.Index(names)
    while len(names) and not names[-1].strip() and frame.iloc[:, -1].isna().all():
        frame = frame.iloc[:, :-1]
        names = names[:-1]
    return Table(frame, encoding=encoding)


def _ragged(reason: str) -> str:
    """Say which row is too short or too long; what a respondent answered in it is nobody's business here."""
    if found := _RAGGED.search(reason):
        row, expected, got = (int(number) for number in found.groups())
        return f"row {row:,} (the first row counted) has {got:,} columns, expected {expected:,} as in the first row"
    return f"a row does not have the columns of the first row ({' '.join(reason.split())[:80]})"


def _csv_table(content: bytes, delimiter: str, names: list[str], *, header: bool = False) -> pa.Table:
    places = [str(place) for place in range(len(names))]
    return pyarrow.csv.read_csv(
        pa.BufferReader(content),
        read_options=pyarrow.csv.ReadOptions(
            use_threads=False,
            column_names=None if header else places,
            skip_rows=0 if header else 1,
        ),
        parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(places, pa.string()),
            null_values=["", "NA"],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            check_utf8=True,
        ),
    )


def _decoded(path: Path, encoding: str | None) -> tuple[bytes, str]:
    content = path.read_bytes()
    if encoding is None and content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    try:
        if encoding is not None:
            name = "utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding
            return _without_bom(content.decode(name).encode("utf-8")), encoding
        content.decode("utf-8")
        return _without_bom(content), "utf-8"
    except LookupError:
        raise SourceError(f"{path.name}: no encoding '{encoding}'. Use 'utf-8' or 'cp949'.") from None
    except UnicodeDecodeError as error:
        if encoding is not None:
            line = content.count(b"\n", 0, error.start) + 1
            raise SourceError(f"{path.name}, line {line}: not {encoding} text. Leave the encoding out.") from None
        return _from_cp949(path, content, error)


def _without_bom(content: bytes) -> bytes:
    return content.removeprefix(b"\xef\xbb\xbf")


def _from_cp949(path: Path, content: bytes, earlier: UnicodeDecodeError) -> tuple[bytes, str]:
    line = content.count(b"\n", 0, earlier.start) + 1
    move = "Save it as UTF-8 (in Excel: 'CSV UTF-8'), or name its encoding, e.g. encoding='latin-1'."
    try:
        text = content.decode("cp949")
    except UnicodeDecodeError as error:
        also = content.count(b"\n", 0, error.start) + 1
        raise SourceError(f"{path.name} is neither UTF-8 (line {line}) nor CP949 (line {also}) text. {move}") from None
    foreign = {character for character in text if ord(character) > 127}
    # Accented Latin text decodes as CP949 too, but into syllables that Korean does not use.
    if sum(_is_common(character) for character in foreign) * 2 < len(foreign):
        raise SourceError(f"{path.name} is not UTF-8 (line {line}) and reads as no Korean in CP949. {move}")
    return text.encode("utf-8"), "cp949"


def _is_common(character: str) -> bool:
    # Python spells syllables outside the common 2,350 with eight bytes.
    try:
        return len(character.encode("euc_kr")) == 2
    except UnicodeEncodeError:
        return False


def _read_workbook(path: Path, encoding: str | None, sheet: str | None) -> Table:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            book = openpyxl.load_workbook(path, read_only=True, data_only=True)
            if sheet is not None and sheet not in book.sheetnames:
                raise SourceError(f"{path.name} has no sheet '{sheet}'. {did_you_mean(sheet, book.sheetnames)}")
            rows = list(book[sheet or book.sheetnames[0]].iter_rows(values_only=True))
            book.close()
    except (zipfile.BadZipFile, zlib.error, SyntaxError, KeyError, ValueError, EOFError, OSError) as error:
        # XML that is none is a SyntaxError.
        raise _damaged(path, "xlsx", error) from None
    rows = [row for row in rows if any(cell is not None for cell in row)]
    if not rows:
        raise SourceError(f"{path.name}: sheet '{sheet or book.sheetnames[0]}' is empty. Name the sheet with the data.")
    width = max(place for row in rows for place, cell in enumerate(row, start=1) if cell is not None)
    names = ["" if name is None else str(name) for name in (*rows[0], *[None] * width)[:width]]
    cells = [[_cell_text(cell) for cell in (*row, *[None] * width)[:width]] for row in rows[1:]]
    frame = pd.DataFrame(cells, dtype=TEXT) if cells else pd.DataFrame(columns=range(width), dtype=TEXT)
    frame.columns = pd.Index(names)
    return Table(frame)


def _cell_text(cell: Any) -> str | None:
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return None
    if isinstance(cell, bool):
        return str(int(cell))
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return cell.isoformat() if hasattr(cell, "isoformat") else str(cell)


def _read_parquet(path: Path, encoding: str | None, sheet: str | None) -> Table:
    return Table(_parquet_frame(path, None))


def _parquet_frame(path: Path, columns: list[str] | None) -> pd.DataFrame:
    try:
        table = pyarrow.parquet.read_table(path, columns=columns, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, "parquet", error) from None
    return _plain_frame(table)


def _plain_frame(table: pa.Table) -> pd.DataFrame:
    # What pandas once noted in the file would be parsed even where it is ignored.
    table = table.replace_schema_metadata(None)
    return _plain_columns(table.to_pandas(ignore_metadata=True, split_blocks=True))


def _read_spss(path: Path, encoding: str | None, sheet: str | None) -> Table:
    return _read_labelled(path, "sav", pyreadstat.read_sav, encoding)


def _read_stata(path: Path, encoding: str | None, sheet: str | None) -> Table:
    return _read_labelled(path, "dta", pyreadstat.read_dta, encoding)


def _read_labelled(path: Path, kind: str, reader: Callable[..., Any], encoding: str | None) -> Table:
    if kind == "dta":
        _check_stata_end(path)
    try:
        frame, meta = reader(str(path), user_missing=True, encoding=encoding)
    except (pyreadstat.ReadstatError, pyreadstat.PyreadstatError, UnicodeDecodeError, ValueError) as error:
        raise _damaged(path, kind, error) from None
    missing: dict[str, list[tuple[Code, Code]]] = {
        name: [(bounds["lo"], bounds["hi"]) for bounds in ranges] for name, ranges in meta.missing_ranges.items()
    }
    for name, codes in meta.missing_user_values.items():
        missing.setdefault(name, []).extend((code, code) for code in codes)
    return Table(
        _plain_columns(frame),
        labels={name: label for name, label in meta.column_names_to_labels.items() if label},
        value_labels=meta.variable_value_labels,
        missing=missing,
        measures=dict(meta.variable_measure or {}),
        encoding=meta.file_encoding or "",
    )


def _check_stata_end(path: Path) -> None:
    # The values stand before their labels: a file cut off between the two would be read without a word.
    closing = b"</stata_dta>"
    with path.open("rb") as file:
        if not file.read(16).startswith(b"<stata_dta>"):
            return
        file.seek(-min(len(closing), path.stat().st_size), 2)
        if file.read() != closing:
            raise _damaged(path, "dta", ValueError("its last bytes are missing"))


def _plain_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """Numbers as they are, booleans as 0 and 1, everything else as text with blanks missing."""
    columns = {}
    for name in frame.columns:
        column = frame[name]
        if pd.api.types.is_bool_dtype(column):
            column = column.astype("Int64").astype("float64" if column.isna().any() else "int64")
        elif not pd.api.types.is_numeric_dtype(column):
            column = _as_text(column)
        elif pd.api.types.is_extension_array_dtype(column):
            column = column.astype("float64")
        columns[name] = column
    return pd.DataFrame(columns, index=frame.index, copy=False)


def _as_text(column: pd.Series) -> pd.Series:
    """Return a column as text; only values that are none yet are looked at one by one."""
    if pd.api.types.infer_dtype(column, skipna=True) != "string":
        return pd.Series([_value_text(value) for value in column], index=column.index, dtype=TEXT)
    text = column.astype(TEXT)
    return text.mask(text.str.strip() == "")


def _value_text(value: Any) -> str | None:
    if value is None or value is pd.NaT or (isinstance(value, float) and value != value):
        return None
    return _cell_text(value)


def _read_comma(path: Path, encoding: str | None, sheet: str | None) -> Table:
    return _read_csv(path, encoding, None)


def _read_tab(path: Path, encoding: str | None, sheet: str | None) -> Table:
    return _read_csv(path, encoding, "\t")


_READERS: dict[str, Callable[[Path, str | None, str | None], Table]] = {
    "csv": _read_comma,
    "tsv": _read_tab,
    "sav": _read_spss,
    "zsav": _read_spss,
    "dta": _read_stata,
    "xlsx": _read_workbook,
    "parquet": _read_parquet,
}
