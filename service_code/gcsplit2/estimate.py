"""Estimating a split payment's share: whatever the exchange says goes back to gcsplit, which decides; no answer is a
Retry, a minute apart for a day.

Also a refusal is an answer: gcsplit holds the payment, and buries what the exchange will never take.
"""

from __future__ import annotations

from service_code.kit import logs
from service_code.kit.call import Call
from service_code.kit.changenow import ChangeNow, ExchangeAwayError, ExchangeRefusedError
from service_code.kit.clock import to_millis
from service_code.kit.estimates import ANSWER_QUEUE, EstimateSplit, SplitEstimated
from service_code.kit.outcomes import Next, Outcome, Retry

_log = logs.get("estimate")


class Estimator:
    """Handles POST /estimate."""

    def __init__(self, exchange: ChangeNow) -> None:
        self._exchange = exchange

    async def estimate(self, question: EstimateSplit, call: Call) -> Outcome:
        """Ask once."""
        call.about(question.unique_id)
        fields = {name: getattr(question, name) for name in EstimateSplit.model_fields}
        try:
            quote = await self._exchange.quote(question.route, fixed=question.fixed)
        except ExchangeAwayError as error:
            return Retry(str(error))
        except ExchangeRefusedError as error:
            why = error.why[:1000]
            answer = SplitEstimated(
                **fields, to_amount="", rate_id="", valid_until=0, refused_code=error.code, refused_why=why
            )
        else:
            answer = SplitEstimated(
                **fields,
                to_amount=quote.to_amount[:100],
                rate_id=quote.rate_id[:200],
                valid_until=to_millis(quote.valid_until) if quote.valid_until else 0,
                refused_code="",
                refused_why="",
            )
        _log.info("the exchange was asked", what="split_estimated", status=answer.refused_code or "estimated")
        return Next(ANSWER_QUEUE, answer)
