"""A search space is checked before the first trial, and a mistake in it is one clear line."""

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from training.errors import UserError
from training.generator.space import GeneratorSweepConfig
from training.recommender.space import RecommenderSweepConfig
from training.sweep.config import SweepConfig
from training.sweep.space import contains, parse_space, value_of, with_values


@pytest.mark.parametrize("config", [RecommenderSweepConfig(), GeneratorSweepConfig()])
def test_the_default_space_holds_together_and_holds_the_defaults(config: SweepConfig) -> None:
    space = parse_space(config.space, config.base, config.fixed)
    assert len(space) >= 5
    assert all(contains(space[name], value_of(config.base, name)) for name in space)


def test_types_are_those_of_the_hyper_parameters() -> None:
    config = RecommenderSweepConfig(
        space={
            "sasrec.width": "32, 64",
            "sasrec.enabled": "true, false",
            "slist.window": "3 to 50",
            "slist.ridge": "1 to 1e3 log",
        }
    )
    assert parse_space(config.space, config.base, config.fixed) == {
        "sasrec.width": CategoricalDistribution((32, 64)),
        "sasrec.enabled": CategoricalDistribution((True, False)),
        "slist.window": IntDistribution(3, 50),
        "slist.ridge": FloatDistribution(1.0, 1000.0, log=True),
    }


MISTAKES = {
    "a name misspelt": ("sasrec.widht", "32, 64", "no hyper-parameter; did you mean sasrec.width"),
    "a group": ("sasrec", "1 to 2", "sasrec is no hyper-parameter"),
    "the split": ("split.heldout_share", "0.1 to 0.2", "comparable only where it is the same"),
    "the seed": ("seed", "1 to 100", "comparable only where it is the same"),
    "a list": ("popularity.births", "1, 2", "not a single value"),
    "below the hyper-parameter's own bound": ("sasrec.width", "4 to 64", "4: Input should be greater than"),
    "no whole number": ("slist.keep", "1.5, 3", "1.5: Input should be a valid integer"),
    "ends exchanged": ("slist.decay", "0.9 to 0.2", "the low end is not below the high end"),
    "a logarithm of 0": ("sasrec.dropout", "0 to 0.5 log", "not above 0"),
    "one value": ("sasrec.blocks", "2, 2", "nothing to choose"),
    "a sentence": ("sasrec.blocks", "a few", "no range and no list of values"),
    "a range of truth": ("sasrec.enabled", "true to false", "no numbers"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_that_names_the_hyper_parameter(name: str) -> None:
    key, text, told = MISTAKES[name]
    config = RecommenderSweepConfig()
    with pytest.raises(UserError, match=told) as error:
        parse_space({key: text}, config.base, config.fixed)
    assert str(error.value).startswith(key)
    assert "\n" not in str(error.value)


def test_an_empty_space_is_refused() -> None:
    with pytest.raises(UserError, match="name at least one"):
        parse_space({}, RecommenderSweepConfig().base, ())


def test_what_keeps_the_generator_from_reciting_cannot_be_searched() -> None:
    config = GeneratorSweepConfig()
    with pytest.raises(UserError, match="cannot be searched"):
        parse_space({"ngram.min_authors": "1, 2"}, config.base, config.fixed)


def test_values_reach_their_group_and_nothing_else_changes() -> None:
    base = RecommenderSweepConfig().base
    changed = with_values(base, {"slist.ridge": 3.0})
    assert changed.slist.ridge == 3.0
    assert with_values(changed, {"slist.ridge": base.slist.ridge}) == base
