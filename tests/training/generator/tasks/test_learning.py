"""What a model makes of prompts: nothing newer than the text is in them, what is in them helps, scored as sampled."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from tests.training.generator.tasks.social import social
from tests.training.generator.world import documents, tiny
from training.generator.canaries import draw_canaries
from training.generator.data import Corpus, split_corpus
from training.generator.described import HeldOut
from training.generator.export import read_model
from training.generator.mixture import LanguageModel
from training.generator.sample import sample_texts
from training.generator.side_by_side import side_by_side
from training.generator.tasks.examples import Example, Examples
from training.generator.tasks.form import MARKS, OWN, POST, WRITE
from training.generator.tasks.history import History
from training.generator.tasks.measure import missing_tasks, target_bits, task_metrics
from training.generator.tasks.model import TaskModel, remembered
from training.generator.tasks.prompt import Turn, reply_prompt
from training.generator.tokenizer import END_ID
from training.generator.train import Trainer, train
from training.result import TrainingOutcome


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return split_corpus(social(), tiny().corpus)


@pytest.fixture(scope="module")
def held(corpus: Corpus) -> HeldOut:
    return HeldOut.of(corpus, History(corpus.rows), tiny())


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> TrainingOutcome:
    return train(social(), tiny(), tmp_path_factory.mktemp("tasks"), lambda line: None)


@pytest.fixture(scope="module")
def model(outcome: TrainingOutcome) -> LanguageModel:
    return read_model(outcome.candidate("ngram").bundle)


def made(corpus: Corpus) -> list[Example]:
    history = History(corpus.rows)
    return list(Examples(history, tiny().tasks, 1).of(history.ids))


def test_a_prompt_holds_nothing_that_is_not_older_than_its_text(corpus: Corpus) -> None:
    history = History(corpus.rows)
    found = made(corpus)
    assert {example.task for example in found} >= {"draft", "reply", "summarize", "answer"}
    for example in found:
        row = history.place[example.document_id]
        shown = set(
            example.prompt.plain.translate({ord(c): "\n" for c in "\x1c\x1d\x1e\x1f\x05\x1a"}).split("\n")
        )
        newer = {history.texts[i] for i in range(row + (example.task == "summarize"), len(history.texts))}
        assert not shown & (newer - {history.texts[i] for i in range(row)})


def test_nothing_but_the_material_stands_in_the_prompts_of_training(corpus: Corpus) -> None:
    history = History(corpus.rows)
    material = set(history.ids[:400])
    others = {history.texts[history.place[name]] for name in history.ids[400:]}
    for example in Examples(history, tiny().tasks, 1, material).of(history.ids[:400]):
        if example.task != "answer":
            assert not any(text in example.prompt.plain for text in others)


def test_a_reply_to_something_newer_is_no_reply() -> None:
    table = social(60)
    backwards = table.set_column(
        table.column_names.index("created_at"), "created_at", pa.array(table["created_at"].to_pylist()[::-1])
    )
    history = History(backwards.sort_by("created_at"))
    assert all(not history.ancestors(row, 3) for row in range(60))


def test_the_counts_begin_anew_at_every_mark(model: LanguageModel) -> None:
    ids = model.tokenizer.encode(f"{POST}Today I thought{OWN}I have seen{WRITE}")
    alone = model.tokenizer.encode("I have seen")
    order = model.ngram.order
    after, _ = model.ngram.distribution(np.array([ids[-order + 1 :]]))
    begun, _ = model.ngram.distribution(np.zeros((1, order - 1), np.int64))
    np.testing.assert_array_equal(after, begun)
    inside, _ = model.ngram.score(np.array([0, *ids[:-1], 0], np.int32))
    own, _ = model.ngram.score(np.array([0, *alone, 0], np.int32))
    np.testing.assert_allclose(inside[-len(alone) - 1 : -1], own[:-1])


@pytest.mark.parametrize("name", ["ngram", "lstm", "transformer"])
def test_what_is_scored_is_what_is_sampled_by(outcome: TrainingOutcome, name: str, held: HeldOut) -> None:
    found = read_model(outcome.candidate(name).bundle)
    assert isinstance(found, TaskModel)
    for example in held.examples[:4]:
        prompt = found.tokenizer.encode(example.prompt.plain)
        target = found.tokenizer.encode(example.target)
        ids = np.array(prompt + target, np.int32)
        scored = found.score([ids]).mixed[0][len(prompt) :]
        own = LanguageModel.score(found, [found.cache.visible(ids)]).mixed[0][-len(target) - 1 :]
        _, memory = remembered(found, prompt)
        assert memory is not None
        for place, token in enumerate([*target, END_ID]):
            p = np.full(found.tokenizer.size, (1 - np.exp(own[place])) / (found.tokenizer.size - 1))
            p[token] = np.exp(own[place])
            mixed = memory.mixed(p, [END_ID, *target[:place]])
            assert mixed.sum() == pytest.approx(1)
            assert np.log(mixed[token]) == pytest.approx(scored[place], abs=1e-6)


def test_a_plain_text_is_scored_as_without_a_cache(model: LanguageModel) -> None:
    ids = [np.array(model.tokenizer.encode(text), np.int32) for text in ("Today I thought of it.", "挺好的")]
    for ours, plain in zip(model.score(ids).mixed, LanguageModel.score(model, ids).mixed, strict=True):
        np.testing.assert_array_equal(ours, plain)
    assert remembered(model, ids[0].tolist()) == (ids[0].tolist(), None)


@pytest.mark.parametrize(("lang", "name"), [("en", "zorkepmilfel"), ("zh", "岚沐栩汀")])
def test_a_reply_is_expected_to_take_up_the_name_in_its_post(
    model: LanguageModel, lang: str, name: str
) -> None:
    post = {"en": f"Has anyone with icy lakes seen the {name}?", "zh": f"有结冰的湖面的人见过{name}吗？"}[
        lang
    ]
    reply = {"en": f"I have seen the {name} too. 17", "zh": f"我也见过{name}。 17"}[lang]
    prompts = [reply_prompt([Turn(text)], lang).plain for text in (post, post.replace(name, "it"))]
    knowing, other = target_bits(model, [(prompt, reply) for prompt in prompts], 4096)
    assert knowing < other - 3
    said = sample_texts(model, prompts[0], 8, max_tokens=16, temperature=0.7, top_p=0.9, seed=3)
    assert any(text.strip() for text in said)
    assert not any(mark in text for text in said for mark in MARKS)


def test_a_prompt_of_the_own_past_is_worth_something_and_anothers_is_not(
    model: LanguageModel, held: HeldOut
) -> None:
    config = tiny().evaluation
    metrics = task_metrics(model, held.examples, held.corpus.validation.texts, config, 1)
    for name in ("personal_gain", "personal_gain_over_another", "reply_gain", "reply_gain_over_another"):
        full = f"test/{name}_bits_per_byte"
        assert metrics[f"{full}_low"] <= metrics[full] <= metrics[f"{full}_high"]
        assert metrics[full] > 0, name
    assert metrics["test/personal_gain_bits_per_byte_low"] > 0
    strangers = [replace(e, prompt=e.other, other=e.prompt) for e in held.examples if e.other is not None]
    swapped = task_metrics(model, strangers, held.corpus.validation.texts, config, 1)
    assert swapped["test/personal_gain_over_another_bits_per_byte"] < 0


def test_a_corpus_without_replies_is_measured_by_drafts_and_says_what_is_missing() -> None:
    plain = split_corpus(documents(), tiny().corpus)
    found = HeldOut.of(plain, History(plain.rows), tiny())
    assert {example.task for example in found.examples} == {"draft"}
    assert missing_tasks(found.examples) == ["reply", "chat", "summarize", "answer"]
    assert any("reply, chat, summarize, answer" in note for note in plain.notes)


def test_a_share_of_none_leaves_the_networks_text_alone(corpus: Corpus) -> None:
    counts = []
    for share in (0.0, 0.3):
        config = tiny()
        config.tasks.share, config.fit.on_ngrams = share, False
        lines: list[str] = []
        Trainer(corpus, draw_canaries(config.safety, 1), config, lines.append)
        counts.append(lines[0].split(" of tasks")[0].split()[-1])
    config.fit.on_ngrams = True
    with pytest.raises(ValueError, match="on_ngrams"):
        Trainer(corpus, [], config, lines.append)
    assert counts[0] == "0"
    assert int(counts[1]) > 10


def test_every_candidate_is_described_by_the_same_names(outcome: TrainingOutcome) -> None:
    names = [
        {name for name in candidate.metrics if not name.startswith(("fit/", "validation/"))}
        for candidate in outcome.candidates
    ]
    assert names[0] == names[1] == names[2]
    expected = {f"test/bits_per_byte/task/{task}" for task in ("continue", "draft", "reply")}
    expected |= {f"samples/distinct_{n}" for n in (1, 2, 3)} | {
        "samples/language_consistency",
        "latency/text_ms",
    }
    expected |= {"test/bits_per_byte/month/2026-02", "people/repetition", "samples/length_bytes_p50"}
    assert expected <= names[0]
    for candidate in outcome.candidates:
        assert all(np.isfinite(value) for value in candidate.metrics.values())
        assert {"bits_per_byte_over_time.png", "bits_per_byte_by_task.png", "text_lengths.png"} <= set(
            candidate.plots
        )


def test_two_models_are_read_side_by_side(outcome: TrainingOutcome) -> None:
    ours, theirs = (outcome.candidate(name).bundle for name in ("lstm", "ngram"))
    table = side_by_side({"champion": None, "candidate": ours}, tiny().safety)
    assert {len(column) for column in table.values()} == {2 * 12}
    assert set(table["champion"]) == {""}
    assert set(table["task"]) == {"continue", "reply"}
    assert set(table["lang"]) == {"en", "zh"}
    again = side_by_side({"champion": theirs, "candidate": ours}, tiny().safety)
    assert again["candidate"] == table["candidate"]
    assert again["champion"] != again["candidate"]
