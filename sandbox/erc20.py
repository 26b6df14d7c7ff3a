"""What a token's calls and events begin with. Source: ERC-20, and Solidity's ABI (the first bytes of keccak256).

Leaves alone: encoding arguments, and which tokens there are.
"""

from __future__ import annotations

#: The selector of transfer(address,uint256).
TRANSFER = bytes.fromhex("a9059cbb")

#: The first topic of Transfer(address,address,uint256).
TRANSFERRED = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
