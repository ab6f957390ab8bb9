import dagster as dg

from orchestration.loop import unserved


def check(name: str, problems: list[str]) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey("served_champions"),
        check_name=name,
        passed=not problems,
        metadata={"problems": dg.MetadataValue.json(problems)},
    )


def test_a_run_whose_champions_are_not_served_has_failed_and_says_how() -> None:
    found = unserved([check("answers_with_champions", ["no state", "version 1 is served"])])
    assert found == ["served_champions: no state; version 1 is served"]


def test_a_gate_that_holds_is_no_failure_of_the_run() -> None:
    assert unserved([check("3_better", ["held"]), check("answers_with_champions", [])]) == []
