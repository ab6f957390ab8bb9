"""Names for the numbers of a simulated world: users, posts, replies, sessions, times."""

import numpy as np
import pyarrow as pa

from orchestration.sources.schema import TIMESTAMP
from orchestration.sources.simulated.chance import Floats, Ints
from orchestration.sources.simulated.population import World
from orchestration.sources.simulated.supply import CODES_A_DAY, FIRST_REPLY

_MILLISECONDS_A_DAY = 86_400_000


class Names:
    """The ids of one world; another world's differ in the four characters after the first."""

    def __init__(self, world: World) -> None:
        self.tag = world.scenario.tag
        self._origin = world.scenario.microseconds(0)
        self._users = pa.array(
            [f"u{self.tag}{number:05d}" for number in range(len(world.users))], pa.string()
        )

    def users(self, numbers: Ints) -> pa.Array:
        """User ids."""
        return self._users.take(pa.array(numbers))

    def post(self, code: int) -> str:
        """The id of a post or reply."""
        return f"{'c' if code % CODES_A_DAY >= FIRST_REPLY else 'p'}{self.tag}{code:09d}"

    def posts(self, codes: Ints) -> pa.Array:
        """Ids of posts and replies."""
        distinct, inverse = np.unique(codes, return_inverse=True)
        return pa.array([self.post(code) for code in distinct.tolist()], pa.string()).take(pa.array(inverse))

    def sessions(self, day: int, numbers: Ints) -> pa.Array:
        """Session ids of one day."""
        distinct, inverse = np.unique(numbers, return_inverse=True)
        names = pa.array([f"s{self.tag}{day:04d}-{number}" for number in distinct.tolist()], pa.string())
        return names.take(pa.array(inverse))

    def times(self, days: Floats) -> pa.Array:
        """Times for days of the world with fractions, to the millisecond."""
        milliseconds = np.floor(days * _MILLISECONDS_A_DAY).astype(np.int64)
        return pa.array(self._origin + milliseconds * 1000, pa.int64()).cast(TIMESTAMP)
