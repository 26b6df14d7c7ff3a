"""The staged payout's executor: signs and sends from the host wallet, and tells what the chain made of it."""
