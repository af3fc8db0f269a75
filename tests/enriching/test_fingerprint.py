"""The enricher `fingerprint`: one digest for one content, however it is written."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

import holded_pipeline as hp
from holded_pipeline.model import json_codec
from holded_pipeline.model.canonical_json import encode_canonical

NUMBERS = (
    st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.decimals(allow_nan=False, allow_infinity=False)
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(st.text(max_size=5), VALUES, max_size=5)


def fingerprint(data, **settings):
    event = hp.Event(id="e", type="t", company_id="c", occurred_at=datetime(2026, 1, 1, tzinfo=UTC), data=data)
    return hp.Fingerprint(**settings)(event)["sha256"]


def reversed_all_through(value):
    if isinstance(value, dict):
        return {name: reversed_all_through(value[name]) for name in reversed(value)}
    return [reversed_all_through(each) for each in value] if isinstance(value, list) else value


@given(DOCUMENTS)
def test_the_order_of_members_makes_no_difference(data):
    assert fingerprint(reversed_all_through(data)) == fingerprint(data)


def same_json(one, other):
    """Equality of JSON values, by a way of its own: Python's, which takes True for 1, with the kinds beside it."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same_json(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same_json, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and one == other


@given(DOCUMENTS, DOCUMENTS)
def test_different_contents_have_different_fingerprints(one, other):
    one, other = (json_codec.decode_own(json_codec.encode(each)) for each in (one, other))
    # A float is what its shortest form says, which is what was sent.
    exact = [json.loads(json_codec.encode(each), parse_float=Decimal) for each in (one, other)]
    assert (fingerprint(one) == fingerprint(other)) == same_json(*exact)


@given(DOCUMENTS, st.text(max_size=5), VALUES)
def test_a_changed_field_changes_the_digest_unless_it_is_volatile(data, name, value):
    changed = {**data, name: [value, "another"]}
    assert (fingerprint(changed) == fingerprint(data)) == (changed == data)
    path = "/" + name.replace("~", "~0").replace("/", "~1")
    assert fingerprint(changed, volatile=[path]) == fingerprint(data, volatile=[path])


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (b'{"n":1}', b'{"n":1.0}', True),
        (b'{"n":100}', b'{"n":1e2}', True),
        (b'{"n":0}', b'{"n":-0.0}', True),
        (b'{"n":1}', b'{"n":"1"}', False),
        (b'{"n":1}', b'{"n":true}', False),
        (b'{"n":0.1}', b'{"n":0.10000000000000000001}', False),
        (b'{"n":9007199254740993}', b'{"n":9007199254740992}', False),
        (b'{"n":null}', b"{}", False),
        (b'{"n":[]}', b'{"n":{}}', False),
        (b'{"n":[1,2]}', b'{"n":[2,1]}', False),
        ('{"n":"é"}'.encode(), rb'{"n":"\u00e9"}', True),
    ],
)
def test_the_form_of_a_value_makes_no_difference(one, other, same):
    assert (fingerprint(json_codec.decode(one)) == fingerprint(json_codec.decode(other))) is same


def test_numbers_of_any_length_have_a_canonical_form():
    assert encode_canonical(10**6_000) == b"1e6000"
    assert encode_canonical(-(10**6_000) - 1) == b"-1" + b"0" * 5_999 + b"1e0"
    assert encode_canonical(Decimal("1E-6000")) == b"1e-6000"


def test_times_of_change_are_ignored_by_default():
    assert fingerprint({"a": 1, "updatedAt": "x"}) == fingerprint({"a": 1, "updatedAt": "y"})
    assert fingerprint({"a": 1, "updatedAt": "x"}, volatile=()) != fingerprint({"a": 1, "updatedAt": "y"}, volatile=())


def test_fields_inside_arrays_can_be_volatile():
    one, other = ({"lines": [{"sku": "a", "position": place}]} for place in (1, 2))
    assert fingerprint(one) != fingerprint(other)
    assert fingerprint(one, volatile=["/lines/*/position"]) == fingerprint(other, volatile=["/lines/*/position"])


def test_its_version_contains_the_ignored_fields():
    assert hp.Enricher("fingerprint", hp.Fingerprint(["/b", "/a"])).version == "1 -/a -/b"


def test_the_digest_of_a_version_does_not_change():
    """Stored ones stay comparable: a change of the canonical form must change `version` too."""
    assert encode_canonical({"b": [1.50, None, True], "a": "é"}) == rb'{"a":"\u00e9","b":[15e-1,null,true]}'
    assert fingerprint({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


KEY = "a key of more than sixteen characters"


def test_with_a_key_the_digest_is_an_hmac_that_another_key_does_not_give():
    event = hp.Event(id="e", type="t", company_id="c", occurred_at=datetime(2026, 1, 1, tzinfo=UTC), data={"n": "x"})
    expected = hmac.new(KEY.encode(), b'{"n":"x"}', hashlib.sha256).hexdigest()
    keyed = hp.Fingerprint(key=hp.Secret(KEY))
    assert keyed(event) == {"hmac_sha256": expected}
    assert hp.Fingerprint(key=hp.Secret(KEY + "!"))(event) != keyed(event)
    assert keyed.version == "1 hmac -/updatedAt -/updated_at"
    assert KEY not in repr(keyed) + str(hp.Enricher("fingerprint", keyed))


def test_a_key_of_a_fingerprint_is_a_secret_and_long(monkeypatch):
    with pytest.raises(TypeError, match="the key of Fingerprint is an hp.Secret") as raised:
        hp.Fingerprint(key=KEY)
    assert KEY not in str(raised.value)
    with pytest.raises(hp.ConfigurationError, match="has 5 characters"):
        fingerprint({}, key=hp.Secret("short"))


def test_a_fingerprint_without_a_key_is_refused_beside_a_mask():
    mask, keyed = hp.Mask(["/email"], key=hp.Secret(KEY)), hp.Fingerprint(key=hp.Secret(KEY))
    for unkeyed in ("fingerprint", hp.Fingerprint(["/n"]), hp.Enricher("digest", hp.Fingerprint())):
        for pair in ((unkeyed, mask), (mask, unkeyed), (hp.Enricher("pii", mask), "quality", unkeyed)):
            with pytest.raises(hp.ConfigurationError, match=r"undoes .* hp\.Fingerprint\(key="):
                hp.Enrich(*pair)
    assert hp.Enrich(mask, keyed)
    assert hp.Enrich("fingerprint", "quality")
