"""Templates are filled from an event, can be pickled, and name what is wrong with them."""

from __future__ import annotations

import pickle

import pytest
from event_factory import make_event

from holded_pipeline.model.templates import EVENT_FIELDS, parse_template
from holded_pipeline.schemas.subjects import subject_of
from holded_pipeline.store.object_names import partition_template

EVENT = make_event(type=r"Holded\User\UserUpdated", company_id="c/1")


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{type_name}-value", "UserUpdated-value"),
        ("{company_id}{type}", r"c/1Holded\User\UserUpdated"),
        ("plain", "plain"),
        ("{{type}}", "{type}"),
        ("", ""),
    ],
)
def test_fields_are_filled_and_texts_stay(template, text):
    assert parse_template(template, EVENT_FIELDS, name="subject")(EVENT) == text


@pytest.mark.parametrize("kind", ["a.b.Updated", "a/b/Updated", r"a\b\Updated", "Updated"])
def test_the_type_name_is_the_last_part_of_the_type(kind):
    assert parse_template("{type_name}", EVENT_FIELDS, name="subject")(make_event(type=kind)) == "Updated"


def test_values_of_fields_are_encoded_and_texts_are_not():
    assert parse_template("a{type_name}", EVENT_FIELDS, name="subject", encode=str.upper)(EVENT) == "aUSERUPDATED"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{typ}", "the subject '{typ}' has no usable field 'typ'; the fields are: company_id, type, type_name"),
        ("{type!r}", "the subject '{type!r}' has no usable field 'type'; the fields are: company_id, type, type_name"),
        (
            "{type:>9}",
            "the subject '{type:>9}' has no usable field 'type'; the fields are: company_id, type, type_name",
        ),
        (
            "{type.x}",
            "the subject '{type.x}' has no usable field 'type.x'; the fields are: company_id, type, type_name",
        ),
        ("{}", "the subject '{}' has no usable field ''; the fields are: company_id, type, type_name"),
        ("{type", "the subject '{type' is no template: expected '}' before end of string"),
    ],
)
def test_the_message_names_what_is_wrong(template, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  the message is compared in full
        parse_template(template, EVENT_FIELDS, name="subject")
    assert str(caught.value) == message


def test_templates_of_subjects_and_partitions_can_be_pickled():
    for template in (subject_of("{type}-value"), partition_template("{date}/{hour}/{month}/{company_id}")):
        assert pickle.loads(pickle.dumps(template))(EVENT) == template(EVENT)
