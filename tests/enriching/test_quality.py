"""Scores say how good an event is, and why it is not better."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holded_pipeline.enriching.builtin import Quality
from holded_pipeline.enriching.quality import NOT_APPLICABLE, QualityRule, assess, ruleset_of
from holded_pipeline.enriching.quality_rules import RULES, RULESET
from holded_pipeline.model.json_codec import check_json_value
from holded_pipeline.model.values import Event

AT = datetime(2026, 1, 12, 10, tzinfo=UTC)
GOOD = {
    "id": "inv-1",
    "companyId": "c1",
    "amount": 12.1,
    "currency": "EUR",
    "subtotal": 10,
    "tax": Decimal("2.1"),
    "total": 12.1,
    "email": "office@example.com",
    "address": {"country": "ES"},
    "date": "2026-01-12",
    "dueDate": "2026-02-12",
    "createdAt": "2026-01-12T09:00:00Z",
    "updatedAt": 1768208400000,
}


def event_with(data=None, *, at=AT, collected=timedelta(minutes=1), user="u1"):
    metadata = {} if collected is None else {"collected_at": (at + collected).isoformat()}
    return Event("e1", "t", "c1", at, GOOD if data is None else data, user, metadata)


def failed(judged: Event) -> set[str]:
    return {failure["rule"] for failure in assess(judged, RULES, RULESET)["failed"]}


def passes(_):
    return None


def fails(_):
    return "because"


def abstains(_):
    return NOT_APPLICABLE


# --- the score


def test_the_score_is_the_weighted_share_of_the_applicable_rules_that_pass():
    rules = [
        QualityRule("a", "validity", 2, passes),
        QualityRule("b", "validity", 1, fails),
        QualityRule("c", "timeliness", 3, abstains),
        QualityRule("d", "completeness", 4, passes),
    ]
    assert assess(event_with(), rules, "mine") == {
        "score": 0.8571,
        "failed": [{"rule": "b", "dimension": "validity", "why": "because"}],
        "dimensions": {"completeness": 1.0, "validity": 0.6667},
        "ruleset": "mine",
    }


def test_an_event_without_an_applicable_rule_has_a_perfect_score():
    assert assess(event_with(), [QualityRule("a", "validity", 1, abstains)], "r") == {
        "score": 1.0,
        "failed": [],
        "dimensions": {},
        "ruleset": "r",
    }


@given(st.lists(st.tuples(st.floats(0.01, 100), st.sampled_from([passes, fails, abstains])), max_size=8))
def test_scores_lie_between_0_and_1_and_are_perfect_only_if_nothing_failed(rules):
    made = [QualityRule(str(place), "validity", weight, check) for place, (weight, check) in enumerate(rules)]
    result = assess(event_with(), made, "r")
    assert 0 <= result["score"] <= 1
    assert len(result["failed"]) == sum(check is fails for _, check in rules)
    if not result["failed"]:
        assert result["score"] == 1


@pytest.mark.parametrize("weight", [0, -1, float("nan"), float("inf"), 1e308, 10**400, "2", True, None])
def test_a_weight_that_cannot_be_used_raises(weight):
    with pytest.raises(ValueError, match="weight"):
        QualityRule("a", "validity", weight, passes)


@pytest.mark.parametrize("verdict", ["", " "])
def test_an_empty_reason_is_no_verdict(verdict):
    result = assess(event_with(), [QualityRule("a", "validity", 1, lambda _: verdict)], "r")
    assert (result["score"], result["failed"]) == (1.0, [])
    assert "empty text" in result["errors"][0]["error"]


def test_an_unknown_dimension_raises():
    with pytest.raises(ValueError, match="completeness"):
        QualityRule("a", "beauty", 1, passes)


@pytest.mark.parametrize("text", ["a\ud800", "a\0"], ids=["surrogate", "nul"])
def test_texts_of_rules_that_cannot_be_stored_raise(text):
    with pytest.raises(ValueError, match="id is kept with events, and U.0000 or a lone surrogate in"):
        QualityRule(text, "validity", 1, passes)
    with pytest.raises(ValueError, match="version is kept with events"):
        QualityRule("a", "validity", 1, passes, version=text)
    with pytest.raises(ValueError, match="ruleset is kept with events"):
        Quality(ruleset=text)


def test_the_version_of_a_ruleset_changes_with_its_rules():
    first, second = QualityRule("a", "validity", 1, passes), QualityRule("b", "validity", 1, passes)
    assert ruleset_of([first, second], "r") == ruleset_of([second, first], "r")
    assert ruleset_of([first], "r") != ruleset_of([QualityRule("a", "validity", 2, passes)], "r")


def test_the_version_of_the_built_in_rules_changes_only_on_purpose():
    assert RULESET == "holded-1+f0eb59f6"


def test_built_in_rules_have_different_ids():
    assert len({rule.id for rule in RULES}) == len(RULES)


# --- the built-in rules


def test_a_good_event_is_perfect():
    result = assess(event_with(), RULES, RULESET)
    assert (result["score"], result["failed"]) == (1.0, [])
    assert list(result["dimensions"]) == ["completeness", "validity", "timeliness", "consistency"]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"id": None}, "id.present"),
        ({"id": " "}, "id.present"),
        ({"id": 5}, "id.present"),
        ({"a": None, "b": "", "c": [], "d": {}, "e": None}, "document.filled"),
        ({"currency": None}, "amount.currency"),
        ({"amount": "12.1"}, "amount.number"),
        ({"amount": True}, "amount.number"),
        ({"amount": float("nan")}, "amount.number"),
        ({"currency": "euro"}, "currency.code"),
        ({"price": {"currency": "€"}}, "currency.code"),
        ({"address": {"country": "Spain"}}, "country.code"),
        ({"email": "office at example.com"}, "email.address"),
        ({"persons": [{"contactEmail": "nobody@"}]}, "email.address"),
        ({"deliveredAt": "31/12/2025"}, "dates.readable"),
        ({"lines": [{"shipDate": "soon"}]}, "dates.readable"),
        ({"companyId": "c2"}, "company.same"),
        ({"companyId": 7}, "company.same"),
        ({"companyId": ["c1"]}, "company.same"),
        ({"updatedAt": "2026-01-12T08:59:59Z"}, "updated.after_created"),
        ({"dueDate": "2026-01-11"}, "due.after_issued"),
        ({"total": 12.2}, "totals.add_up"),
    ],
)
def test_each_rule_finds_its_own_fault_and_no_other(change, rule):
    assert failed(event_with({**GOOD, **change})) == {rule}


@pytest.mark.parametrize(
    ("judged", "rules"),
    [
        (event_with(user=None), {"user.known"}),
        (event_with({"id": "x"}), {"document.content"}),
        (event_with({}), {"id.present", "document.content"}),
        (event_with(collected=timedelta(hours=1)), set()),
        (event_with(collected=timedelta(hours=1, seconds=1)), {"collected.in_time"}),
        (event_with(collected=timedelta(minutes=-5)), set()),
        (event_with(collected=timedelta(minutes=-5, seconds=-1)), {"collected.not_before"}),
        (event_with(at=datetime(1970, 1, 21, tzinfo=UTC)), {"time.plausible"}),
        (event_with(at=datetime(9999, 1, 21, tzinfo=UTC)), {"time.plausible"}),
    ],
)
def test_rules_on_the_event_itself(judged, rules):
    assert failed(judged) == rules


def test_timeliness_does_not_apply_without_a_collection_time():
    assert "timeliness" not in assess(event_with(collected=None), RULES, RULESET)["dimensions"]


def test_a_company_that_is_a_number_is_compared_as_text():
    numbered = Event("e", "t", "48213", AT, {"id": "x", "companyId": 48213}, "u")
    assert failed(numbered) == set()


ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(10**400, 10**401)
    | st.floats()
    | st.decimals()
    | st.sampled_from([Decimal("1E+999999"), Decimal("1E-999999"), "2026-01-12", "EUR", 1768208400000])
    | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*GOOD, "created_at", "contactEmail", "issuedAt"]) | st.text(), inner, max_size=6
        )
    ),
    max_leaves=15,
)


@given(st.dictionaries(st.sampled_from(sorted(GOOD)) | st.text(), ODD, max_size=8), ODD)
def test_rules_accept_any_document_without_an_error(data, collected_at):
    judged = Event("e", "t", "c1", AT, data, metadata={"collected_at": collected_at})
    result = assess(judged, RULES, RULESET)
    assert 0 <= result["score"] <= 1


def test_a_giant_document_is_scored_quickly_with_short_reasons():
    wide = {"id": "x", **{f"{'n' * 500}{place}At": None for place in range(20_000)}}
    deep = {"id": "x", "lines": [{"date": "2026-01-12"}] * 200_000}
    for data in (wide, deep):
        result = assess(event_with(data), RULES, RULESET)
        assert len(str(result)) < 2_000


# --- as an enricher


def test_the_enricher_returns_json_and_can_be_pickled():
    enricher = pickle.loads(pickle.dumps(Quality()))
    result = enricher(event_with())
    check_json_value(result)
    assert result == assess(event_with(), RULES, RULESET)


def test_other_rules_have_another_version_by_default():
    assert Quality([QualityRule("a", "validity", 1, passes)])(event_with())["ruleset"].startswith("custom+")
    assert Quality(ruleset="v7")(event_with())["ruleset"] == "v7"


def test_quality_without_rules_raises():
    with pytest.raises(ValueError, match="no quality rule"):
        Quality([], extend=False)
