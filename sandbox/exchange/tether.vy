#pragma version 0.4.3
# The sandbox's Tether: as the real one at 0xdAC17F958D2ee523a2206206994597C13D831ec7, its transfers answer nothing and
# revert without a reason, or end in an invalid opcode where the balance is too low; its owner may pause them, blacklist
# senders, take a fee in basis points up to a maximum, and deprecate the contract: then another one moves the coins, and
# its events tell of it.

interface Upgraded:
    def balanceOf(account: address) -> uint256: view
    def transferByLegacy(sender: address, receiver: address, amount: uint256): nonpayable
    def transferFromByLegacy(spender: address, owner: address, receiver: address, amount: uint256): nonpayable

event Transfer:
    sender: indexed(address)
    receiver: indexed(address)
    amount: uint256

event Approval:
    owner: indexed(address)
    spender: indexed(address)
    amount: uint256

name: public(String[32])
symbol: public(String[8])
decimals: public(uint8)
totalSupply: public(uint256)
balances: HashMap[address, uint256]
allowance: public(HashMap[address, HashMap[address, uint256]])
owner: public(address)
paused: public(bool)
isBlackListed: public(HashMap[address, bool])
basisPointsRate: public(uint256)
maximumFee: public(uint256)
deprecated: public(bool)
upgradedAddress: public(address)


@deploy
def __init__(name: String[32], symbol: String[8], decimals: uint8, supply: uint256):
    self.name = name
    self.symbol = symbol
    self.decimals = decimals
    self.totalSupply = supply
    self.owner = msg.sender
    self.balances[msg.sender] = supply
    log Transfer(sender=empty(address), receiver=msg.sender, amount=supply)


@external
@view
def balanceOf(account: address) -> uint256:
    if self.deprecated:
        return staticcall Upgraded(self.upgradedAddress).balanceOf(account)
    return self.balances[account]


@internal
@view
def _allow(sender: address):
    assert not self.paused
    assert not self.isBlackListed[sender]


@internal
def _move(sender: address, receiver: address, amount: uint256):
    fee: uint256 = min(amount * self.basisPointsRate // 10000, self.maximumFee)
    assert self.balances[sender] >= amount, UNREACHABLE
    self.balances[sender] -= amount
    self.balances[receiver] += amount - fee
    if fee > 0:
        self.balances[self.owner] += fee
        log Transfer(sender=sender, receiver=self.owner, amount=fee)
    log Transfer(sender=sender, receiver=receiver, amount=amount - fee)


@external
def transfer(receiver: address, amount: uint256):
    self._allow(msg.sender)
    if self.deprecated:
        extcall Upgraded(self.upgradedAddress).transferByLegacy(msg.sender, receiver, amount)
        return
    self._move(msg.sender, receiver, amount)


@external
def transferFrom(owner: address, receiver: address, amount: uint256):
    self._allow(owner)
    if self.deprecated:
        extcall Upgraded(self.upgradedAddress).transferFromByLegacy(msg.sender, owner, receiver, amount)
        return
    self.allowance[owner][msg.sender] -= amount
    self._move(owner, receiver, amount)


@external
def approve(spender: address, amount: uint256):
    assert amount == 0 or self.allowance[msg.sender][spender] == 0
    self.allowance[msg.sender][spender] = amount
    log Approval(owner=msg.sender, spender=spender, amount=amount)


@external
def pause():
    assert msg.sender == self.owner
    self.paused = True


@external
def unpause():
    assert msg.sender == self.owner
    self.paused = False


@external
def addBlackList(account: address):
    assert msg.sender == self.owner
    self.isBlackListed[account] = True


@external
def removeBlackList(account: address):
    assert msg.sender == self.owner
    self.isBlackListed[account] = False


@external
def setParams(newBasisPoints: uint256, newMaxFee: uint256):
    assert msg.sender == self.owner
    assert newBasisPoints < 20 and newMaxFee < 50
    self.basisPointsRate = newBasisPoints
    self.maximumFee = newMaxFee * 10 ** convert(self.decimals, uint256)


@external
def deprecate(upgraded: address):
    assert msg.sender == self.owner
    self.deprecated = True
    self.upgradedAddress = upgraded
