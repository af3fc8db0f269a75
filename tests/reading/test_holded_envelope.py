"""Messages of Holded's services, in all the forms that occur, become events; of others everything wrong is reported."""

from __future__ import annotations

import copy
import uuid
from datetime import UTC, datetime
from decimal import Decimal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holded_pipeline.model.errors import RejectRecord
from holded_pipeline.model.identity import correlation_id_of
from holded_pipeline.model.values import Event, Source
from holded_pipeline.reading.envelopes import ENVELOPES, holded

SOURCE = Source("lake", "raw/a.jsonl", "e1", 3)
CONTEXT = r"X-Message-Stamp-Holded\Shared\Infrastructure\Messenger\Stamp\NewContextStamp"
TIMESTAMP = r"X-Message-Stamp-Holded\Core\Messaging\Messenger\Stamp\TimestampStamp"
MESSAGE_ID = r"X-Message-Stamp-Holded\Core\Messaging\Messenger\Stamp\MessageIdStamp"
TRACKING = r"X-Message-Stamp-Holded\Shared\Infrastructure\Messenger\Stamp\AmplitudeTrackStamp"
TYPE = r"Holded\Wallet\Domain\Transaction\Events\WalletTransactionCreatedEvent"
UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
HEADERS = {
    "type": TYPE,
    "targetSubscription": "wallet_events",
    CONTEXT: {"accountId": "acc-1", "userId": "user-1", "requestPlatform": "web"},
    TIMESTAMP: {"dispatchedAt": 1718031415926},
    MESSAGE_ID: {"id": UUID},
    TRACKING: {"id": 7, "trackedDevice": "mobile"},
}
MESSAGE = {"data": {"id": "tx-1", "amount": Decimal("10.10")}, "headers": HEADERS}


def message(**changed_headers):
    """The message with other headers; None takes one away."""
    headers = {name: value for name, value in {**HEADERS, **changed_headers}.items() if value is not None}
    return {"data": MESSAGE["data"], "headers": headers}


def rejection_of(document) -> RejectRecord:
    with pytest.raises(RejectRecord) as caught:
        holded(document, SOURCE)
    return caught.value


def found(document) -> set[tuple[str, str]]:
    return {(violation.pointer, violation.keyword) for violation in rejection_of(document).violations}


def at(stamp: str, member: str = "", root: str = "/headers") -> str:
    return f"{root}/{stamp}" + (f"/{member}" if member else "")


# --- what an event takes from a message


def test_a_message_becomes_an_event():
    event = holded(MESSAGE, SOURCE)
    assert (event.id, event.type, event.company_id, event.user_id) == (UUID, TYPE, "acc-1", "user-1")
    assert event.occurred_at == datetime(2024, 6, 10, 14, 56, 55, 926000, tzinfo=UTC)
    assert event.data == MESSAGE["data"]
    assert event.source == SOURCE
    assert event.metadata == {"correlation_id": correlation_id_of(SOURCE), "headers": HEADERS}


def test_attributes_stand_for_headers():
    assert holded({"data": MESSAGE["data"], "attributes": HEADERS}, SOURCE) == holded(MESSAGE, SOURCE)


def test_attributes_may_repeat_the_headers_or_add_to_them():
    first, second = dict(list(HEADERS.items())[:4]), dict(list(HEADERS.items())[3:])
    both = {"data": MESSAGE["data"], "headers": first, "attributes": second}
    assert holded(both, SOURCE) == holded(MESSAGE, SOURCE)


def test_attributes_that_contradict_the_headers_are_rejected():
    contradiction = {**MESSAGE, "attributes": {"type": "another", "targetSubscription": "wallet_events"}}
    assert rejection_of(contradiction).reason == "conflicting_headers"
    assert found(contradiction) == {("/attributes/type", "const")}


@pytest.mark.parametrize(
    "stamp",
    [
        {"dispatchedAt": 1718031415926},
        {"dispatchedAt": "1718031415926"},
        {"dispatchedAt": "2024-06-10T14:56:55.926Z"},
        1718031415926,
        1718031415926.0,
        Decimal("1718031415926.000"),
        "1718031415926",
        "2024-06-10T16:56:55.926+02:00",
        "2024-06-10T14:56:55.926",
    ],
)
def test_the_timestamp_may_be_an_object_a_number_or_a_text(stamp):
    assert holded(message(**{TIMESTAMP: stamp}), SOURCE).occurred_at == holded(MESSAGE, SOURCE).occurred_at


@pytest.mark.parametrize("stamp", [{"id": UUID}, UUID, UUID.upper(), UUID.replace("-", "")])
def test_the_message_id_may_be_an_object_or_a_text(stamp):
    assert holded(message(**{MESSAGE_ID: stamp}), SOURCE).id == UUID


@pytest.mark.parametrize(("account", "company"), [("acc-1", "acc-1"), (48213, "48213"), ("48213", "48213")])
def test_a_company_is_text_even_if_it_is_a_number(account, company):
    assert holded(message(**{CONTEXT: {"accountId": account}}), SOURCE).company_id == company


@pytest.mark.parametrize("context", [{"accountId": "a"}, {"accountId": "a", "userId": None}])
def test_the_user_may_be_unknown(context):
    assert holded(message(**{CONTEXT: context}), SOURCE).user_id is None


def test_the_business_document_may_be_empty():
    assert holded({"data": {}, "headers": HEADERS}, SOURCE).data == {}


def test_the_document_that_was_read_is_not_changed():
    document = copy.deepcopy({"event_id": "x", "event": MESSAGE, "more": [1]})
    holded(document, SOURCE)
    assert document == {"event_id": "x", "event": MESSAGE, "more": [1]}


# --- the form that the API stores


WRAPPER = {"event_id": str(uuid.UUID(int=5)), "correlation_id": "package-9", "received_at": "2024-06-10T17:00:00+02:00"}


@pytest.mark.parametrize("stored", [{**WRAPPER, "event": MESSAGE}, {**WRAPPER, **MESSAGE}], ids=["around", "beside"])
def test_the_stored_form_has_the_package_and_when_it_was_collected(stored):
    event = holded(stored, SOURCE)
    assert event.metadata["correlation_id"] == "package-9"
    assert event.metadata["collected_at"] == "2024-06-10T15:00:00+00:00"
    assert event.metadata["headers"] == HEADERS
    assert event.data == MESSAGE["data"]


@pytest.mark.parametrize("stamp", [UUID, "order-17", 17])
def test_the_same_message_is_the_same_event_in_every_package_and_wrapper(stamp):
    sent = message(**{MESSAGE_ID: stamp})
    elsewhere = Source("other", "raw/b.json", "e2", 1, 5)
    ids = {
        holded(sent, SOURCE).id,
        holded(sent, elsewhere).id,
        holded({**WRAPPER, "event": sent}, SOURCE).id,
        holded({**WRAPPER, **sent, "event_id": "another"}, SOURCE).id,
        holded(message(**{MESSAGE_ID: {"id": stamp}}), SOURCE).id,
    }
    assert len(ids) == 1


def test_a_message_without_an_id_takes_the_one_it_was_collected_under():
    assert holded({**WRAPPER, "event": message(**{MESSAGE_ID: None})}, SOURCE).id == WRAPPER["event_id"]
    assert holded({**WRAPPER, "event": message(**{MESSAGE_ID: {}})}, SOURCE).id == WRAPPER["event_id"]


def test_nothing_around_the_message_is_lost():
    stored = {**WRAPPER, "producer": "shop", "event": {**MESSAGE, "retry": 2}}
    around = holded(stored, SOURCE).metadata["envelope"]
    assert around == {"event_id": WRAPPER["event_id"], "producer": "shop", "event": {"retry": 2}}


def test_a_member_called_event_beside_data_is_no_wrapper():
    assert holded({**MESSAGE, "event": "created"}, SOURCE).metadata["envelope"] == {"event": "created"}


def test_elements_of_one_array_come_from_one_package():
    first, second = (holded(MESSAGE, attrs.evolve(SOURCE, item=item)) for item in (1, 2))
    assert first.metadata["correlation_id"] == second.metadata["correlation_id"]


# --- what is rejected, and what is reported


@pytest.mark.parametrize("document", [None, True, 1, 1.5, Decimal(1), "text", [], [MESSAGE]])
def test_a_record_that_is_not_an_object_is_rejected(document):
    assert rejection_of(document).reason == "not_an_object"


def test_everything_missing_is_reported_at_once():
    rejection = rejection_of({"headers": {}})
    assert rejection.reason == "missing_field"
    assert found({"headers": {}}) == {
        ("/data", "required"),
        ("/headers/type", "required"),
        (at(CONTEXT), "required"),
        (at(TIMESTAMP), "required"),
        (at(MESSAGE_ID), "required"),
    }
    assert all(violation.message in rejection.message for violation in rejection.violations)


def test_without_headers_they_alone_are_missing():
    assert found({"data": {}}) == {("/headers", "required")}
    assert found({"data": {}, "headers": None}) == {("/headers", "required")}


def test_pointers_into_a_wrapped_message_begin_at_the_wrapper():
    assert found({**WRAPPER, "event": {"data": []}}) == {("/event/data", "type"), ("/event/headers", "required")}
    assert found({**WRAPPER, "event": None}) == {("/event", "required")}


def test_pointers_into_a_message_with_attributes_name_the_attributes():
    headers = {name: value for name, value in HEADERS.items() if name != "type"}
    assert found({"data": {}, "attributes": headers}) == {("/attributes/type", "required")}


@pytest.mark.parametrize(
    ("headers", "pointer", "keyword"),
    [
        ({"type": None}, "/headers/type", "required"),
        ({"type": " "}, "/headers/type", "minLength"),
        ({"type": ["x"]}, "/headers/type", "type"),
        ({"type": "x" * 256}, "/headers/type", "maxLength"),
        ({CONTEXT: None}, at(CONTEXT), "required"),
        ({CONTEXT: "acc-1"}, at(CONTEXT), "type"),
        ({CONTEXT: {}}, at(CONTEXT, "accountId"), "required"),
        ({CONTEXT: {"accountId": True}}, at(CONTEXT, "accountId"), "type"),
        ({CONTEXT: {"accountId": 1.0}}, at(CONTEXT, "accountId"), "type"),
        ({CONTEXT: {"accountId": ""}}, at(CONTEXT, "accountId"), "minLength"),
        ({CONTEXT: {"accountId": 10**5000}}, at(CONTEXT, "accountId"), "type"),
        ({CONTEXT: {"accountId": "a", "userId": {}}}, at(CONTEXT, "userId"), "type"),
        ({TIMESTAMP: None}, at(TIMESTAMP), "required"),
        ({TIMESTAMP: {}}, at(TIMESTAMP, "dispatchedAt"), "required"),
        ({TIMESTAMP: True}, at(TIMESTAMP), "format"),
        ({TIMESTAMP: {"dispatchedAt": "soon"}}, at(TIMESTAMP, "dispatchedAt"), "format"),
        ({TIMESTAMP: {"dispatchedAt": 10**17}}, at(TIMESTAMP, "dispatchedAt"), "format"),
        ({TIMESTAMP: Decimal("NaN")}, at(TIMESTAMP), "format"),
        ({MESSAGE_ID: None}, at(MESSAGE_ID), "required"),
        ({MESSAGE_ID: {}}, at(MESSAGE_ID, "id"), "required"),
        ({MESSAGE_ID: ""}, at(MESSAGE_ID), "minLength"),
        ({MESSAGE_ID: {"id": []}}, at(MESSAGE_ID, "id"), "type"),
    ],
)
def test_each_fault_has_its_pointer_and_its_keyword(headers, pointer, keyword):
    document = message(**headers)
    assert found(document) == {(pointer, keyword)}
    assert rejection_of(document).reason == ("missing_field" if keyword == "required" else "invalid_field")


@pytest.mark.parametrize(
    ("wrapper", "pointer"),
    [
        ({"event_id": []}, "/event_id"),
        ({"correlation_id": False}, "/correlation_id"),
        ({"received_at": "late"}, "/received_at"),
    ],
)
def test_a_wrapper_that_is_wrong_is_rejected(wrapper, pointer):
    assert {found_at for found_at, _ in found({**wrapper, "event": MESSAGE})} == {pointer}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.decimals() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "data",
                    "headers",
                    "attributes",
                    "event",
                    "event_id",
                    "type",
                    CONTEXT,
                    TIMESTAMP,
                    MESSAGE_ID,
                    "accountId",
                    "dispatchedAt",
                    "id",
                    "received_at",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(JSON, st.sampled_from(sorted(ENVELOPES)))
def test_any_document_is_an_event_or_is_rejected(document, name):
    try:
        outcome = ENVELOPES[name](document, SOURCE)
    except RejectRecord as rejection:
        outcome = rejection
    assert isinstance(outcome, Event) or outcome.violations


@given(st.dictionaries(st.text(), st.integers() | st.decimals(allow_nan=False) | st.lists(st.text())))
def test_the_business_document_stays_as_it_was_sent(data):
    event = holded({"data": data, "headers": HEADERS}, SOURCE)
    assert list(event.data.items()) == list(data.items())
