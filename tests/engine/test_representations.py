"""Which of several equivalent values a group shows: the one that has been there longest."""

from __future__ import annotations

from drasi.engine.representations import Representations


def entered(*members: tuple[str, object]) -> Representations:
    found = Representations(members[0][1])
    for member, value in members:
        found.enter(member, value)
    return found


def test_all_alike_keeps_nobody_by_name() -> None:
    found = entered(("a", 1), ("b", 1), ("c", 1))
    assert (found.shown, found.count, found.late) == (1, 3, None)


def test_the_first_is_shown_until_the_last_of_its_kind_that_came_before_the_other_goes() -> None:
    found = entered(("a", 1), ("b", 1), ("c", 1.0), ("d", 1))
    found.leave("a")
    assert repr(found.shown) == "1"
    found.leave("b")
    assert repr(found.shown) == "1.0"
    found.leave("c")
    assert repr(found.shown) == "1"
    assert found.late is None


def test_who_comes_back_comes_last() -> None:
    found = entered(("a", 1), ("b", 1.0))
    found.leave("a")
    found.enter("a", 1)
    assert repr(found.shown) == "1.0"


def test_an_empty_group_takes_what_comes() -> None:
    found = entered(("a", 1))
    found.leave("a")
    found.enter("b", 1.0)
    assert repr(found.shown) == "1.0"


def test_a_member_whose_value_stays_in_substance_keeps_its_place() -> None:
    found = entered(("a", [1, 2]), ("b", [1.0, 2]))
    found.replace("a", [1, 2], [1, 2])
    assert repr(found.shown) == "[1, 2]"
    found.replace("a", [1, 2], [1, 2.0])
    assert repr(found.shown) == "[1.0, 2]"


def test_rebuilt_from_members_and_the_order_of_the_late_ones() -> None:
    found = Representations(1.0)
    found.track()
    for member, value in (("c", 1.0), ("a", 1), ("d", 1)):
        found.enter(member, value)
    found.settle_as(["c", "d"])
    assert repr(found.shown) == "1"
    found.leave("a")
    assert repr(found.shown) == "1.0"
