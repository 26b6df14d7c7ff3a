"""A token of ours that is refused is dropped, and the call made once more, not for ever."""

from __future__ import annotations

import pytest

from service_code.kit.access import once_more
from service_code.kit.outside import Answer
from tests.service_code.world import StaticAccess


class Counting(StaticAccess):
    forgotten = 0

    def forget(self) -> None:
        self.forgotten += 1


@pytest.mark.parametrize(
    ("answers", "said", "forgotten"),
    [([200], 200, 0), ([403], 403, 0), ([401, 200], 200, 1), ([401, 401], 401, 1)],
)
async def test_a_call_is_made_once_more_with_a_new_token(answers: list[int], said: int, forgotten: int) -> None:
    access = Counting()

    async def call() -> Answer:
        return Answer(answers.pop(0), b"")

    assert (await once_more(access, call)).status == said
    assert (answers, access.forgotten) == ([], forgotten)
