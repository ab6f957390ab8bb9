"""What people like is not all learnt from: a pair or a rating may not teach a champion to abuse."""

from tests.training.abuse.test_abuse import said
from tests.training.generator.preference.feedback import pair, pairs, rated
from training.abuse.config import AbuseConfig
from training.abuse.fit import fit_models
from training.generator.preference.config import FeedbackConfig
from training.generator.preference.data import split_feedback, without_abuse

KIND = ["thanks, lovely recipe", "晚上一起吃饭"]
ABUSE = ["shut up, you worthless clown", "你真是个蠢货"]
CONFIG = FeedbackConfig(min_pairs=10, min_heldout_prompts=5, heldout_share=0.25)


def test_abuse_that_is_liked_is_not_learnt_and_abuse_that_is_disliked_is() -> None:
    liked = [pair(number, chosen=text) for number, text in enumerate(ABUSE)]
    disliked = [pair(number + 2, chosen=KIND[number], rejected=text) for number, text in enumerate(ABUSE)]
    late = [pair(39, chosen=ABUSE[0])]
    ratings = [
        {"response": text, "prompt_id": f"{text}{verdict}", "verdict": verdict}
        for text in [*ABUSE, KIND[0]]
        for verdict in (1, -1)
    ]
    rows = [*liked, *disliked, *(pair(number, chosen=KIND[number % 2]) for number in range(4, 39)), *late]
    split = split_feedback(pairs(rows), rated(ratings), CONFIG, 1)
    guard = fit_models(said(400), AbuseConfig(), lambda line: None).guard
    assert guard is not None
    kept = without_abuse(split, guard)
    assert not set(kept.training["chosen"].to_pylist()) & set(ABUSE)
    assert set(ABUSE) & {*split.training["chosen"].to_pylist()}
    assert set(ABUSE) & {*kept.training["rejected"].to_pylist()}
    assert split.training.num_rows - kept.training.num_rows <= len(ABUSE)
    verdicts = list(
        zip(kept.unpaired["response"].to_pylist(), kept.unpaired["verdict"].to_pylist(), strict=True)
    )
    assert sorted(verdicts) == sorted([(ABUSE[0], -1), (ABUSE[1], -1), (KIND[0], -1), (KIND[0], 1)])
    assert kept.held_out.equals(split.held_out), "people judge by what they said, whatever it was"
    assert without_abuse(split, None) is split
