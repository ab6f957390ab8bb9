"""A seeded, vectorised social network with known truth.

`scenario` says what a world is like; `population` who lives in it; `supply` and `series` what they write; `feed`
what they are shown; `choice` what they do with it; `day` puts a day together; `grammar` and `writer` make the texts;
`tables` the canonical streams; `truth` what only tests may know.
"""

from orchestration.sources.simulated.reader import SimulatedReader
from orchestration.sources.simulated.scenario import (
    Scenario,
    Shift,
    continue_scenario,
    load_scenario,
    write_scenario,
)

__all__ = ["Scenario", "Shift", "SimulatedReader", "continue_scenario", "load_scenario", "write_scenario"]
