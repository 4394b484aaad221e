"""The change-by-change cases transcribed from the original engine's tests (the README beside them says how to read them)."""

from __future__ import annotations

import json
from typing import Any

import pytest

import drasi
from tests.conformance.differences import Difference, assert_difference, net
from tests.conftest import SHARED

pytestmark = pytest.mark.usefixtures("shared_data")

CASES: dict[str, dict[str, Any]] = {
    case["name"]: case
    for path in sorted((SHARED / "cases").glob("*.json"))
    for case in json.loads(path.read_text(encoding="utf-8"))["cases"]
}

WRONG: dict[tuple[str, int], str] = {}
"""Steps (case, index) at which the original is wrong, each with its reason; none among the cases that run by now."""

WAITING = {
    "drasi.previousValue()": (
        "before_value",
        "before_sum",
    ),
    "joins": (
        "crosses_above_a_threshold",
        "crosses_above_a_threshold_with_overdue_days",
        "crosses_above_three_times_in_an_hour",
        "decrease_by_ten",
        "decrease_by_ten_percent",
        "exceeds_one_standard_deviation",
        "greater_than_a_threshold",
        "greater_than_a_threshold_by_customer",
        "logical_conditions",
        "steps_happen_in_any_order",
    ),
    "middleware": (
        "insert_basic_flow",
        "update_basic_flow",
        "delete_passthrough",
        "decoder_base64_overwrite",
        "decoder_hex_output_strip",
        "decoder_url_fail_skip",
        "decoder_json_escape_decode",
        "decoder_missing_prop_fail",
        "decoder_wrong_type_skip",
        "decoder_size_limit_fail",
        "parse_json_overwrite",
        "parse_json_output_property",
        "parse_json_skip_invalid_and_missing",
        "parse_json_fail_invalid_and_missing",
        "parse_json_size_limit_skip",
        "parse_json_size_limit_fail",
        "parse_json_nesting_depth_skip",
        "parse_json_nesting_depth_fail",
        "promote_basic_promotion",
        "promote_multiple_mappings",
        "promote_conflict_overwrite",
        "promote_conflict_skip",
        "promote_conflict_fail",
        "promote_error_no_match_skip",
        "promote_error_no_match_fail",
        "promote_error_multi_match_fail",
        "promote_update_change",
        "promote_delete_change",
        "relabel",
        "remap",
        "remap_invalid_config_fails",
        "remap_incorrect_structure_fails",
        "unwind",
        "unwind_invalid_config_fails",
        "unwind_incorrect_structure_fails",
    ),
    "drasi.trueFor()": (
        "truefor_sum",
        "truefor_grouped_sum",
    ),
    "OPTIONAL MATCH": ("truelater_max",),
    "drasi.linearGradient()": ("linear_gradient",),
    "drasi.getVersionByTimestamp()": ("get_version_by_timestamp",),
    "drasi.getVersionsByTimeRange()": (
        "get_versions_by_timerange",
        "get_versions_by_timerange_with_initial_value_flag",
        "get_versions_by_timerange_with_initial_value_flag_test_2",
    ),
}
"""Cases that a later issue brings, by the construct they wait for; all others run."""
NOT_YET = {name: construct for construct, names in WAITING.items() for name in names}


def created(case: dict[str, Any]) -> drasi.ContinuousQuery:
    return drasi.ContinuousQuery(
        case["query"],
        language=case["language"],
        joins=[drasi.Join(join["id"], keys=[(key["label"], key["property"]) for key in join["keys"]]) for join in case["joins"]],
        middleware=[drasi.Middleware(item["kind"], item["name"], item["config"]) for item in case["middleware"]],
        pipelines=case["pipelines"],
        column_names="short",
    )


def element(data: dict[str, Any]) -> drasi.Node | drasi.Relation:
    values: dict[str, Any] = {name: data[name] for name in ("source", "id", "labels", "properties", "effective_from")}
    if data["type"] == "node":
        return drasi.Node(**values)
    return drasi.Relation(**values, start=end(data["start"]), end=end(data["end"]))


def end(place: str | dict[str, str]) -> str | tuple[str, str]:
    return place if isinstance(place, str) else (place["source"], place["id"])


def change(step: dict[str, Any]) -> drasi.Insert | drasi.Update | drasi.Delete:
    data = step["element"]
    if step["do"] == "delete":
        return drasi.Delete(source=data["source"], id=data["id"], labels=data["labels"], effective_from=data["effective_from"])
    return drasi.Insert(element(data)) if step["do"] == "insert" else drasi.Update(element(data))


def expected(expect: dict[str, Any]) -> Difference:
    """The step's difference in our terms: a group that comes is added, one that ends is deleted, without keys it is updated."""
    result = Difference(list(expect.get("added", [])), [], list(expect.get("deleted", [])))
    result.updated = [(pair["before"], pair["after"]) for pair in expect.get("updated", [])]
    for pair in expect.get("aggregated", []):
        grouped, before, after = bool(pair["grouping_keys"]), pair["before"], pair["after"]
        if grouped and pair["default_after"]:
            result.deleted.append(before)
        elif grouped and (before is None or pair["default_before"]):
            result.added.append(after)
        else:
            result.updated.append((before, after))
    return result


def run(case: dict[str, Any]) -> None:
    query = created(case)
    for number, step in enumerate(case["steps"]):
        if step["do"] == "bootstrap":
            for item in step["elements"]:
                query.apply(drasi.Insert(element(item)))
            continue
        diffs = query.advance(to=step["time"]) if step["do"] == "advance_to" else query.apply(change(step))
        found = net(diffs)
        expect = step["expect"]
        if (case["name"], number) in WRONG:
            with pytest.raises(AssertionError):
                assert_difference(expected(expect), found)
        elif expect["check"] == "exact":
            assert_difference(expected(expect), found, expect.get("approx", 0.0))
        elif expect["check"] == "contains":
            assert_contained(expected(expect), found)
        elif expect["check"] == "count":
            counts = {name: len(getattr(found, name)) for name in expect["counts"] if name != "aggregated"}
            assert counts == {name: count for name, count in expect["counts"].items() if name != "aggregated"}
        assert query.errors() == []


def assert_contained(wanted: Difference, found: Difference) -> None:
    for kind in ("added", "updated", "deleted"):
        for item in getattr(wanted, kind):
            assert item in getattr(found, kind), f"{kind}: {item} is not among {getattr(found, kind)}"


@pytest.mark.parametrize("name", [name for name in CASES if name not in NOT_YET])
def test_case(name: str) -> None:
    run(CASES[name])


@pytest.mark.parametrize("name", NOT_YET)
def test_not_yet(name: str) -> None:
    with pytest.raises(drasi.QueryError) as caught:
        created(CASES[name])
    assert caught.value.type == "NotYet"
    assert NOT_YET[name] in str(caught.value)
