"""One function turns exceptions of plug-ins into decisions."""

from __future__ import annotations

import asyncio

import pytest

from andon.config.secrets import SecretMissing
from andon.core.failure import Failure, Rejected, Retryable
from andon.core.reason import Reason
from andon.runtime.failures import Failed, classify

NO_SECRET = Failed(Reason.NOT_SENT, "the environment variable A is not set", True)


@pytest.mark.parametrize(
    ("error", "failed"),
    [
        (Retryable(Reason.THROTTLED, "45009", after=60), Failed(Reason.THROTTLED, "45009", True, 60)),
        (Retryable(Reason.TIMEOUT, ambiguous=True), Failed(Reason.TIMEOUT, "", True, ambiguous=True)),
        (Rejected(Reason.GONE, "93004"), Failed(Reason.GONE, "93004", False)),
        (TimeoutError("15 s"), Failed(Reason.TIMEOUT, "", True, ambiguous=True)),
        (KeyError("secret"), Failed(Reason.UNEXPECTED, "KeyError", True, ambiguous=True, unexpected=True)),
        (SecretMissing("the environment variable A is not set"), NO_SECRET),
        (Failure(Reason.BUSY), Failed(Reason.UNEXPECTED, "Failure", True, ambiguous=True, unexpected=True)),
        (
            ExceptionGroup("two", [ValueError("secret")]),
            Failed(Reason.UNEXPECTED, "ExceptionGroup", True, ambiguous=True, unexpected=True),
        ),
    ],
)
def test_meaning_of_an_exception(error: Exception, failed: Failed) -> None:
    assert classify(error) == failed


def test_asyncio_timeout_is_a_timeout() -> None:
    async def late() -> None:
        async with asyncio.timeout(0):
            await asyncio.sleep(1)

    with pytest.raises(TimeoutError) as caught:
        asyncio.run(late())
    assert classify(caught.value).reason is Reason.TIMEOUT


@pytest.mark.parametrize("error", [asyncio.CancelledError(), KeyboardInterrupt(), SystemExit(3), GeneratorExit()])
def test_what_is_not_of_the_call_is_raised_again(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught:
        classify(error)
    assert caught.value is error
