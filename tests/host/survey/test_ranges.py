"""Choice of points, ranges per platform and method, and what differs from the survey."""

import pytest
from rtlm.host.survey.load import published_rows, read_rows
from rtlm.host.survey.ours import our_points
from rtlm.host.survey.point import Point
from rtlm.host.survey.ranges import SURVEY_RANGES, by_method, by_platform, differences, pairs
from rtlm.host.survey.row import Kind, Method, Platform
from rtlm.host.survey.selection import SEVEN_BILLION, Selection

from tests.host.survey.files import report, table_text

PUBLISHED = tuple(Point.from_row(row) for row in published_rows())


def points(*rows):
    named = ({"id": f"row-{number}"} | row for number, row in enumerate(rows))
    return [Point.from_row(row) for row in read_rows(table_text(*named), "x.csv", {})]


@pytest.mark.parametrize(
    "selection, rows",
    [
        (Selection(), {"a", "b", "c"}),
        (Selection(platforms=(Platform.GPU, Platform.FPGA)), {"a", "b"}),
        (Selection(methods=(Method.SPARSITY,)), {"a", "c"}),
        (Selection(methods=(Method.FAST_DECODING, Method.QUANTISATION)), {"a", "b", "c"}),
        (Selection(kinds=(Kind.VENDOR,)), {"b"}),
        (Selection(batches=(8, 16)), {"b"}),
        (Selection(years=(2025, 2026)), {"c"}),
        (Selection(years=(2024, 2024)), {"a", "b"}),
        (Selection(parameters_b=(6, 9)), {"a"}),
        (Selection(parameters_b=(0.1, 1000)), {"a", "b"}),  # a model of unknown size is in no range
        (Selection(platforms=(Platform.GPU,), years=(2025, 2025)), set()),
    ],
)
def test_selection(selection, rows):
    found = points(
        {"id": "a"},
        {"id": "b", "platform": "GPU", "method": "fast decoding", "kind": "vendor", "batch": "8", "parameters_b": "70"},
        {"id": "c", "platform": "CPU", "year": "2025", "parameters_b": ""},
    )
    assert {point.id for point in selection.of(found)} == rows


def test_ours_are_always_selected():
    ours = our_points([report()])
    assert Selection(platforms=(Platform.CPU,), batches=(8,)).of(ours) == ours


def test_ranges_are_of_models_of_about_7b_and_not_of_ours():
    groups = {
        (group.name, group.batch): group
        for group in by_platform(
            [
                *points(
                    {"tokens_per_s": "50", "power_w": "25"},
                    {"tokens_per_s": "10", "power_w": "2"},
                    {"tokens_per_s": "90", "power_w": "", "power_boundary": ""},
                    {"tokens_per_s": "999", "parameters_b": "0.7"},
                    {"tokens_per_s": "300", "batch": "8"},
                ),
                *our_points([report(model="made-up-7B")]),
            ]
        )
    }
    one = groups["FPGA", 1]
    assert one.points == 3
    assert (one.extents["tokens_per_s"].low, one.extents["tokens_per_s"].high) == (10, 90)
    assert (one.extents["power_w"].low, one.extents["power_w"].high) == (2, 25)
    assert (one.extents["tokens_per_j"].low, one.extents["tokens_per_j"].high) == (2, 5)
    assert one.extents["tokens_per_j"].highest.id == "row-1"
    assert groups["FPGA", 8].points == 1
    assert groups["CPU", 1].points == 0 and not groups["CPU", 1].extents


def test_methods_share_rows():
    groups = {(group.name, group.batch): group.points for group in by_method(points({}))}
    assert groups["quantisation", 1] == groups["sparsity", 1] == 1
    assert groups["fast decoding", 1] == 0
    assert ("none", 1) not in groups


def test_table_holds_the_surveys_ends_but_for_those_that_are_explained():
    found = differences(PUBLISHED)
    assert {(each.platform, each.quantity, each.end) for each in found} == {
        (Platform.CPU, "tokens_per_s", "highest"),
        (Platform.GPU, "tokens_per_s", "lowest"),
        (Platform.GPU, "power_w", "lowest"),
        (Platform.GPU, "power_w", "highest"),
        (Platform.FPGA, "tokens_per_s", "lowest"),
        (Platform.FPGA, "power_w", "lowest"),
        (Platform.PIM, "tokens_per_s", "highest"),
        (Platform.PIM, "tokens_per_j", "highest"),
    }
    assert all(each.point.note for each in found)
    by_model_size = {each.survey_point.id for each in found if each.survey_point}
    assert by_model_size == {"lightmamba-vck190-slow"}


def test_an_end_equals_the_surveys_to_its_digits():
    low, high = SURVEY_RANGES[Platform.FPGA]["tokens_per_s"]
    same = points({"tokens_per_s": "3.649"}, {"tokens_per_s": "449.6"})
    other = points({"tokens_per_s": "3.66"}, {"tokens_per_s": "450.6"})
    assert (low, high) == ("3.6", "450")
    assert not [each for each in differences(same) if each.quantity == "tokens_per_s"]
    assert [each.end for each in differences(other) if each.quantity == "tokens_per_s"] == ["lowest", "highest"]


def test_pairs_are_the_same_design_at_batch_1_and_8():
    found = pairs(
        points(
            {"tokens_per_s": "10"},
            {"tokens_per_s": "45", "batch": "8"},
            {"tokens_per_s": "99", "batch": "8", "context": "4096"},
            {"tokens_per_s": "99", "batch": "8", "chip": "another board"},
        )
    )
    assert [pair.speedup for pair in found] == [4.5]
    assert all(point.batch == 8 for point in (pair.eight for pair in pairs(PUBLISHED)))
    assert len(pairs(PUBLISHED)) == 5


def test_seven_billion_holds_the_models_that_the_survey_means():
    low, high = SEVEN_BILLION
    assert all(low <= size <= high for size in (6, 6.7, 7, 7.24, 8)) and not low <= 13 <= high and not low <= 3 <= high
