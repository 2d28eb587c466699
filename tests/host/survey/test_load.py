"""The table of published figures, and what is refused in further files."""

import re
from importlib import resources

import pytest
from rtlm.host.survey.load import MAX_FILE_BYTES, MAX_ROWS, TABLE, SurveyError, published_rows, read_rows
from rtlm.host.survey.row import COLUMNS, Boundary, Kind, Method, Platform

from tests.host.survey.files import ROW, table_text

ROWS = published_rows()


def test_table_covers_every_platform_and_method_of_the_survey():
    assert len(ROWS) >= 80
    assert {row.platform for row in ROWS} == {*Platform}
    assert {method for row in ROWS for method in row.method} >= {*Method} - {Method.NONE}
    assert {row.kind for row in ROWS} == {*Kind}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_each_row_has_a_source_that_can_be_looked_up(row):
    assert re.search(
        r"arXiv:\d{4}\.\d{5}|ACM 10\.|IEEE Xplore \d+|[a-z]\.(com|org|ai|edu|net)\b|[A-Z][\w ]+20\d\d", row.source
    )


def test_a_speed_that_follows_from_others_says_so():
    assert all(row.note for row in ROWS if row.kind is Kind.DERIVED)
    # Only the survey lists watts without saying what they are of, or where the note explains it.
    assert all(row.note for row in ROWS if row.power_boundary in (Boundary.TDP, Boundary.UNKNOWN))


def test_table_has_its_columns_in_order():
    first = resources.files("rtlm.host.survey").joinpath(TABLE).read_text(encoding="utf-8").partition("\n")[0]
    assert tuple(first.split(",")) == COLUMNS


def test_cells_become_values():
    (row,) = read_rows(table_text({"context": "1024", "tokens_per_s": "4.9"}), "x.csv", {})
    assert (row.platform, row.method) == (Platform.FPGA, (Method.QUANTISATION, Method.SPARSITY))
    assert (row.context, row.tokens_per_s, row.parameters_b) == (1024, 4.9, 7.0)
    assert row.format is row.note is None


def test_columns_may_come_in_any_order():
    assert list(read_rows(table_text({}, columns=COLUMNS[::-1]), "x.csv", {})) == list(
        read_rows(table_text({}), "x.csv", {})
    )


@pytest.mark.parametrize(
    "column, cell, allowed",
    [
        ("tokens_per_s", "-3", "a number from 0.001 to 1e+06"),
        ("tokens_per_s", "nan", "a number from 0.001 to 1e+06"),
        ("tokens_per_s", "inf", "a number from 0.001 to 1e+06"),
        ("tokens_per_s", "", "a number from 0.001 to 1e+06"),
        ("tokens_per_s", "1" * 400, "a number from 0.001 to 1e+06"),
        ("power_w", "0", "a number from 0.001 to 1e+06 W"),
        ("power_w", "many", "a number from 0.001 to 1e+06 W"),
        ("power_boundary", "", "one of chip, board, plug, tdp, unknown where power_w is given"),
        ("power_boundary", "wall", "one of chip, board, plug, tdp, unknown"),
        ("platform", "TPU", "one of CPU, GPU, FPGA, ASIC, PIM/NDP"),
        ("kind", "guessed", "one of measured, simulated, vendor, derived, unstated"),
        ("method", "magic", "one or more of quantisation"),
        ("method", "sparsity; sparsity", "one or more of quantisation"),
        ("method", "", "one or more of quantisation"),
        ("year", "1999", "an integer from 2010 to 2100"),
        ("batch", "1.5", "an integer from 1 to 100000"),
        ("batch", "", "an integer from 1 to 100000"),
        ("id", "Made Up", "1 to 60 lower-case letters, digits and hyphens"),
        ("work", "", "1 to 300 printable characters"),
        ("work", "=HYPERLINK(1)", "1 to 300 printable characters, the first none of = + - @"),
        ("chip", "a\x1b[31mboard", "1 to 300 printable characters"),
        ("note", "x" * 301, "1 to 300 printable characters"),
    ],
)
def test_wrong_cell_is_named_with_file_line_column_and_value(column, cell, allowed):
    with pytest.raises(SurveyError) as error:
        list(read_rows(table_text({"id": "right"}, {column: cell}), "mine.csv", {}))
    text = str(error.value)
    assert text.startswith(f"mine.csv, line 3, column {column}: must be {allowed}")
    assert ", got " in text and "\n" not in text and "\x1b" not in text and len(text) < 300


def test_boundary_without_power_is_refused():
    with pytest.raises(SurveyError, match="column power_boundary: must be empty where power_w is, got 'plug'"):
        list(read_rows(table_text({"power_w": ""}), "x.csv", {}))


@pytest.mark.parametrize(
    "text, message",
    [
        ("", r"line 1: the columns must be id, work, .*, got a line without id"),
        ("id,work\n", r"line 1: the columns must be id, .*, got a line without platform"),
        (table_text({}).replace("note", "note,colour", 1), r"got a line with 'colour'"),
        (table_text({}).replace("note", "note,note", 1), r"got a line with one twice"),
        (table_text({}) + "a,b\n", r"line 3: must have 17 cells, got 2"),
        (table_text({}).replace("Made up", '"Made up'), r"must be CSV, got unexpected end of data"),
        (table_text({}).replace("Made up", "x" * 200_000), r"must be CSV, got field larger"),
        (table_text({}, {}), r"line 3, column id: must differ from x.csv, line 2, got 'made-up'"),
    ],
)
def test_text_that_is_no_such_table(text, message):
    with pytest.raises(SurveyError, match=message):
        list(read_rows(text, "x.csv", {}))


def test_too_many_rows():
    rows = table_text(*({"id": f"row-{number}"} for number in range(MAX_ROWS + 1)))
    with pytest.raises(SurveyError, match="at most 20,000 rows, got more"):
        list(read_rows(rows, "x.csv", {}))


def test_further_files(tmp_path):
    first, second = tmp_path / "a.csv", tmp_path / "b.csv"
    first.write_text(table_text({"id": "mine-1"}), encoding="utf-8-sig")  # as spreadsheets write it
    second.write_text(table_text({"id": "mine-2"}))
    assert [row.id for row in published_rows([first, second])[-2:]] == ["mine-1", "mine-2"]
    with pytest.raises(SurveyError, match=f"must differ from {first}, line 2, got 'mine-1'"):
        published_rows([first, first])
    second.write_text(table_text({"id": ROWS[0].id}))
    with pytest.raises(SurveyError, match=f"must differ from {TABLE}, line 2"):
        published_rows([second])


def test_files_that_cannot_be_read(tmp_path):
    path = tmp_path / "x.csv"
    with pytest.raises(SurveyError, match="cannot be read: No such file"):
        published_rows([path])
    with pytest.raises(SurveyError, match="cannot be read: Is a directory"):
        published_rows([tmp_path])
    path.write_bytes(table_text({}).encode() + b"\xff")
    with pytest.raises(SurveyError, match="line 3: must be UTF-8, got the byte 0xff"):
        published_rows([path])
    path.write_bytes(b"x" * (MAX_FILE_BYTES + 1))
    with pytest.raises(SurveyError, match="must have at most 4,194,304 bytes, got more"):
        published_rows([path])


def test_row_of_the_tests_has_all_columns():
    assert tuple(ROW) == COLUMNS
