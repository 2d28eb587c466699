"""Reading the table that comes with rtlm, and files with further rows."""

import csv
import io
from collections.abc import Iterable, Iterator
from importlib import resources
from pathlib import Path

from pydantic import ValidationError
from rtlm.gen.common.errors import RtlmError
from rtlm.gen.configuration.fields import REFUSED, shown
from rtlm.host.survey.row import COLUMNS, Row

TABLE = "platforms.csv"
MAX_FILE_BYTES = 4 << 20
MAX_ROWS = 20_000


class SurveyError(RtlmError):
    """A table of published figures cannot be used."""


def published_rows(added: Iterable[Path] = ()) -> tuple[Row, ...]:
    """Return the rows of the table that comes with rtlm, and behind them those of further files.

    Parameters
    ----------
    added
        CSV files with the same columns.

    Raises
    ------
    SurveyError
        If a file cannot be read or a cell is not allowed; names the file, line and column.
    """
    places: dict[str, str] = {}
    rows = list(read_rows(resources.files(__package__).joinpath(TABLE).read_text(encoding="utf-8"), TABLE, places))
    for path in added:
        rows += read_rows(_read(path), str(path), places)
    return tuple(rows)


def read_rows(text: str, name: str, places: dict[str, str]) -> Iterator[Row]:
    """Read rows.

    Parameters
    ----------
    text
        CSV with a line of titles.
    name
        Of the file, for messages.
    places
        Where each row was read so far, by its id; those that are read now are added.

    Raises
    ------
    SurveyError
        If the text is not such a table, or a row is there already.
    """
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        titles = next(reader, [])
        _check_titles(titles, name)
        for number, cells in enumerate(reader, 1):
            if not cells:
                continue
            if number > MAX_ROWS:
                raise SurveyError(f"{name}: a file must have at most {MAX_ROWS:,} rows, got more")
            place = f"{name}, line {reader.line_num}"
            row = _row(titles, cells, place)
            if row.id in places:
                raise SurveyError(f"{place}, column id: must differ from {places[row.id]}, got {shown(row.id)}")
            places[row.id] = place
            yield row
    except csv.Error as error:
        raise SurveyError(f"{name}, line {reader.line_num}: must be CSV, got {error}") from None


def _read(path: Path) -> str:
    """Return the text of a file of bounded size."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise SurveyError(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > MAX_FILE_BYTES:
        raise SurveyError(f"{path} must have at most {MAX_FILE_BYTES:,} bytes, got more")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SurveyError(f"{path}, line {line}: must be UTF-8, got the byte {content[error.start]:#04x}") from None


def _check_titles(titles: list[str], name: str) -> None:
    missing = [column for column in COLUMNS if column not in titles]
    unknown = [title for title in titles if title not in COLUMNS]
    if missing or unknown or len(titles) != len(COLUMNS):
        got = f"without {', '.join(missing)}" if missing else f"with {', '.join(map(shown, unknown)) or 'one twice'}"
        raise SurveyError(f"{name}, line 1: the columns must be {', '.join(COLUMNS)}, got a line {got}")


def _row(titles: list[str], cells: list[str], place: str) -> Row:
    """Validate the cells of a line; the error is about the first column that is wrong."""
    if len(cells) != len(titles):
        raise SurveyError(f"{place}: must have {len(titles)} cells, got {len(cells)}")
    values = dict(zip(titles, cells, strict=True))
    try:
        return Row.model_validate(values)
    except ValidationError as error:
        first = min(error.errors(), key=lambda each: COLUMNS.index(str(each["loc"][0])))
        column = str(first["loc"][0])
        allowed = first["ctx"]["allowed"] if first["type"] == REFUSED else first["msg"]
        raise SurveyError(f"{place}, column {column}: must be {allowed}, got {shown(values[column])}") from None
