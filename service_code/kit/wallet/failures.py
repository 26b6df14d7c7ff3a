"""What keeps a payout from being signed, by code, and whose fault it is. What a service then does is its own affair.

Source: seeds/004 (error_classifier), DECISIONS 10. FINAL: the payment can never be paid like this. OWN: it may go
through when tried again, and counts against the payment. ELSEWHERE: nothing is wrong with the payment, and it waits.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from service_code.kit.chain import NodeAwayError, NodeRefusedError, Refusal
from service_code.kit.outside import UnreachableError
from service_code.kit.signer import SigningRefusedError


class Fault(Enum):
    """Whose fault a failure is."""

    FINAL = "the payment can never be paid like this"
    OWN = "the payment's own, it may go through later"
    ELSEWHERE = "not the payment's"


@dataclass(frozen=True, slots=True)
class Failure:
    """One failure: `code` is for programs, `why` for people; no address, key or URL stands in it."""

    code: str
    why: str
    fault: Fault


class PayoutError(RuntimeError):
    """The payout was not signed; nothing was sent."""

    def __init__(self, code: str, why: str, fault: Fault) -> None:
        super().__init__(why)
        self.failure = Failure(code, why, fault)


#: The errors that keep a payout from being signed.
ERRORS = (PayoutError, NodeAwayError, NodeRefusedError, SigningRefusedError, UnreachableError)
#: The call that simulates the transfer: refusals of any other say nothing about the payment.
SIMULATION = "eth_estimateGas"
#: What the node's refusals of it mean. A text that nobody knows is not held against the payment.
REFUSALS: dict[Refusal, tuple[str, Fault]] = {
    Refusal.REVERTED: ("SIMULATION_REVERTED", Fault.FINAL),
    Refusal.INSUFFICIENT_FUNDS: ("INSUFFICIENT_FUNDS", Fault.OWN),
    Refusal.NONCE_TOO_LOW: ("NONCE_TOO_LOW", Fault.OWN),
    Refusal.NONCE_TOO_HIGH: ("NONCE_TOO_HIGH", Fault.OWN),
    Refusal.UNDERPRICED: ("UNDERPRICED", Fault.OWN),
    Refusal.GAS_LIMIT: ("GAS_LIMIT", Fault.OWN),
    Refusal.ALREADY_KNOWN: ("ALREADY_KNOWN", Fault.OWN),
    Refusal.OTHER: ("GAS_ESTIMATION_FAILED", Fault.ELSEWHERE),
}
#: The signer's refusals that no payment of this size gets past. All others wait: for the day to pass, or for an
#: operator, since a key or a chain that is not the wallet's is wrong for every payment, or for gas to be cheaper.
NEVER_SIGNED = frozenset(("OVER_PAYMENT_LIMIT", "OVER_FEE_LIMIT"))


def classify(error: Exception) -> Failure:
    """Say what an error of ERRORS means for the payout; any other is raised again."""
    match error:
        case PayoutError():
            return error.failure
        case NodeAwayError():
            return Failure(error.code, str(error), Fault.ELSEWHERE)
        case NodeRefusedError():
            if error.method != SIMULATION:
                return Failure("NODE_ERROR", str(error), Fault.ELSEWHERE)
            code, fault = REFUSALS[error.refusal]
            why = "the transfer would be reverted" if code == "SIMULATION_REVERTED" else str(error)
            return Failure(code, why, fault)
        case SigningRefusedError():
            return Failure(error.code, error.why, Fault.FINAL if error.code in NEVER_SIGNED else Fault.ELSEWHERE)
        case UnreachableError():  # whoever else is asked while signing: the key in Cloud KMS
            return Failure("SIGNER_AWAY", str(error), Fault.ELSEWHERE)
    raise error
