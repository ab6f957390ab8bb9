import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dbt.project import World
from tests.personal_data import EMAILS, MENTIONS, NUMBERS, PHONES, PLAIN


def cleaned(world: World, *texts: str) -> list[str | None]:
    """Texts as post_texts has them, in order."""
    world.emptied()
    for number, text in enumerate(texts):
        world.connection.execute(
            "insert into lake.raw.posts (post_id, created_at, text, _row_hash, _load_seq) values (?, now(), ?, ?, 1)",
            [str(number), text, str(number)],
        )
    for model in world.project.models:
        if model.relation.endswith(("stg_post_versions", "post_texts")):
            world.build_model(model)
    return [
        text
        for (text,) in world.rows("select text from lake.intermediate.post_texts order by version_id::int")
    ]


# The border lets no NUL character in.
LANDED = st.characters(exclude_characters="\0", exclude_categories=["Cs"])


@pytest.mark.parametrize(
    "kind", [EMAILS, PHONES, NUMBERS, MENTIONS], ids=["emails", "phones", "numbers", "mentions"]
)
def test_personal_data_is_masked_in_the_usual_writing_of_both_languages(
    world: World, kind: list[tuple[str, str]]
) -> None:
    assert cleaned(world, *[text for text, _ in kind]) == [masked for _, masked in kind]


def test_what_is_no_personal_data_stays(world: World) -> None:
    assert cleaned(world, *PLAIN) == PLAIN


def test_a_number_hidden_by_invisible_signs_is_masked(world: World) -> None:
    assert cleaned(world, "138\u200b1234\u200d5678", "ann\u2060@example.com") == ["<phone>", "<email>"]


@settings(deadline=None, max_examples=50)
@given(
    before=st.text(LANDED, max_size=20),
    after=st.text(LANDED, max_size=20),
    secret=st.sampled_from(
        ["ann.lee@example.com", "13812345678", "4111 1111 1111 1111", "11010519491231002X"]
    ),
)
def test_no_surroundings_keep_personal_data_from_being_masked(
    world: World, before: str, after: str, secret: str
) -> None:
    # Letters and digits that touch it make it another address or number.
    (text,) = cleaned(world, f"{before} | {secret} | {after}")
    assert text is not None
    assert secret not in text


@settings(deadline=None, max_examples=50)
@given(st.text(LANDED, max_size=60))
def test_cleaning_a_clean_text_changes_nothing(world: World, text: str) -> None:
    (once,) = cleaned(world, text)
    if once is not None:
        assert cleaned(world, once) == [once]
